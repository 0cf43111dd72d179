"""What the ranking page says, in English and Chinese."""

LANGUAGES = {"en": "English", "zh": "中文"}

WORDS: dict[str, dict[str, str]] = {
    "title": {"en": "Rank the answers", "zh": "为回答排序"},
    "progress": {"en": "{done} of {target} prompts done", "zh": "已完成 {done} / {target} 题"},
    "mine": {"en": "yours: {mine}", "zh": "您完成：{mine}"},
    "language": {"en": "Language", "zh": "语言"},
    "signed_in": {"en": "Ranking as {name}", "zh": "标注人：{name}"},
    "prompt": {"en": "Prompt", "zh": "提示"},
    "user": {"en": "User", "zh": "用户"},
    "assistant": {"en": "Assistant", "zh": "助手"},
    "system": {"en": "System", "zh": "系统"},
    "answers": {"en": "Answers", "zh": "回答"},
    "answer": {"en": "Answer {letter}", "zh": "回答 {letter}"},
    "rank_of": {"en": "Rank of answer {letter}, 1 is the best", "zh": "回答 {letter} 的名次，1 为最好"},
    "best": {"en": "best", "zh": "最好"},
    "unranked": {"en": "Not ranked", "zh": "未排序"},
    "board": {
        "en": "Drag a letter to its place; letters in one place are tied.",
        "zh": "把字母拖到名次上；同一名次即并列。",
    },
    "more": {"en": "Helpful, honest, harmless (optional)", "zh": "有帮助、诚实、无害（可选）"},
    "helpful": {"en": "Helpful", "zh": "有帮助"},
    "honest": {"en": "Honest", "zh": "诚实"},
    "harmless": {"en": "Harmless", "zh": "无害"},
    "axis_of": {"en": "{axis}, answer {letter}, 1 to 5", "zh": "回答 {letter}：{axis}，1 到 5"},
    "comment": {"en": "Comment (optional)", "zh": "备注（可选）"},
    "save": {"en": "Save and next", "zh": "保存，下一题"},
    "bad": {"en": "All bad", "zh": "都不好"},
    "skip": {"en": "Skip", "zh": "跳过"},
    "previous": {"en": "Previous", "zh": "上一题"},
    "onward": {"en": "Go on with the next one", "zh": "继续下一题"},
    "again": {"en": "You have ranked this one; saving replaces it.", "zh": "此题您已排过；再次保存将替换之前的结果。"},
    "keys": {"en": "Keys", "zh": "快捷键"},
    "keys_text": {
        "en": "1…9 and 0: rank the marked answer · arrows: mark another · the same rank twice: a tie · Delete: no "
        "rank · Enter: save · B: all bad · S: skip · C: comment",
        "zh": "1…9、0：给选中的回答排名 · 方向键：换一个回答 · 相同名次：并列 · Delete：取消名次 · Enter：保存 · "
        "B：都不好 · S：跳过 · C：备注",
    },
    "shortcuts": {"en": "Single keys: digits and letters", "zh": "单键快捷键：数字与字母"},
    "welcome": {"en": "Welcome, {name}", "zh": "欢迎，{name}"},
    "explain": {
        "en": "You will see a prompt and several answers to it. Give every answer a rank: 1 is the best, equal ones "
        "are ties. You do not see which model wrote an answer, and everybody sees them in another order. What you "
        "save is kept at once; you may close the page and come back with the same link.",
        "zh": "您会看到一个提示和若干回答。请给每个回答一个名次：1 为最好，名次相同即并列。页面不显示回答来自哪个模型，"
        "每个人看到的顺序也不同。每次保存立即生效；可以随时关闭页面，用同一链接再回来。",
    },
    "begin": {"en": "Begin", "zh": "开始"},
    "complete": {"en": "All rankings are in. Thank you!", "zh": "排序已全部完成，谢谢！"},
    "complete_text": {
        "en": "The run goes on by itself. You can close this page.",
        "zh": "流程将自动继续，可以关闭本页。",
    },
    "empty": {"en": "Nothing is left for you. Thank you!", "zh": "您的部分已完成，谢谢！"},
    "empty_text": {
        "en": "Others still have prompts to rank. You can close this page, or come back later.",
        "zh": "其他人还有题目未完成。可以关闭本页，或稍后再来。",
    },
    "skipped": {"en": "Rank what you skipped ({count})", "zh": "补排跳过的题目（{count}）"},
    "no_login": {"en": "Please open your own link", "zh": "请用您自己的链接打开"},
    "no_login_text": {
        "en": "This page is for invited people: open the link that you were given. Whoever runs `plumbline rank` sees "
        "the links in the terminal.",
        "zh": "本页仅供受邀者使用：请打开发给您的链接。运行 plumbline rank 的终端会显示这些链接。",
    },
    "error": {"en": "That did not work", "zh": "操作未成功"},
    "bad_form": {"en": "The form could not be read: load the page again.", "zh": "无法读取表单：请重新载入页面。"},
    "long_comment": {"en": "The comment is longer than 4000 characters.", "zh": "备注超过 4000 字。"},
    "rank_all": {
        "en": "Give every answer a rank first; missing: {missing}",
        "zh": "请先给每个回答排名；还缺：{missing}",
    },
    "no_item": {"en": "There is no such prompt.", "zh": "没有这道题。"},
    "saved": {"en": "Saved.", "zh": "已保存。"},
    "saving": {"en": "Saving…", "zh": "正在保存……"},
    "not_saved": {
        "en": "Not saved yet: the server does not answer. Trying again; leave this page open.",
        "zh": "尚未保存：服务器没有响应。正在重试，请不要关闭本页。",
    },
    "said_rank": {"en": "Answer {letter}: rank {rank}", "zh": "回答 {letter}：第 {rank} 名"},
    "said_none": {"en": "Answer {letter}: not ranked", "zh": "回答 {letter}：未排序"},
}


def pick(query: str | None, cookie: str | None, accepted: str) -> str:
    """The language: asked for, chosen before, or the first of Accept-Language that there is; else English."""
    for wanted in (query, cookie):
        if wanted in LANGUAGES:
            return str(wanted)
    ordered: list[tuple[float, int, str]] = []
    for part in accepted.split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            ordered.append((-float(weight or 1), len(ordered), name[:2].lower()))
        except ValueError:
            continue
    return next((name for _, _, name in sorted(ordered) if name in LANGUAGES), "en")


def say(language: str, key: str, **values: object) -> str:
    """One sentence in a language."""
    text = WORDS[key][language]
    return text.format(**values) if values else text
