"""Each rule of Gopher, C4 and FineWeb keeps a text and drops its neighbour; Chinese is judged by its own measure."""

from typing import Any

import pyarrow as pa
import pytest

from configs.schema.quality import FilterConfig
from tasks.corpus.quality.judge import SETTINGS, Verdict, judge

OFF = {"min_characters": 0, "min_letters": 0, "max_symbols_per_word": float("inf"), "min_mean_word": 0,
       "max_mean_word": float("inf"), "max_repeated_lines": 1, "max_top_5gram": 1, "min_stop_words": 0}  # fmt: skip
WORDS = "the of and mill river bread stone horse apple cloud winter summer garden candle letter window"
QUALITY: dict[str, tuple[dict[str, Any], str, str]] = {
    # reason: settings, kept, dropped
    "gopher_short_doc": ({"min_doc_words": 3}, "the cat of", "the of"),
    "gopher_long_doc": ({"max_doc_words": 3}, "the cat of , !", "the cat of us"),
    "gopher_below_avg_threshold": ({"min_avg_word_length": 3}, "the of abcd", "the of a"),
    "gopher_above_avg_threshold": ({}, "the of " + "a" * 25, "the of " + "a" * 26),
    "gopher_too_many_hashes": ({}, "the of # " + "cats " * 7, "the of # " + "cats " * 6),
    "gopher_too_many_ellipsis": ({}, "the of … " + "cats " * 7, "the of ... " + "cats " * 6),
    "gopher_too_many_bullets": ({}, "- the\n" * 9 + "of it", "- the\n" * 10 + " • of"),
    "gopher_too_many_end_ellipsis": (
        {"max_symbol_word_ratio": None}, "the…\n" * 3 + "of it\n" * 7, "the… \n" * 4 + "of it\n" * 6,
    ),
    "gopher_below_alpha_threshold": ({"max_non_alpha_words_ratio": 0.75}, "the of cats 1", "the of 11111 cats 11111"),
    "gopher_enough_stop_words": ({}, "the cats and dogs", "the cats the dogs"),
}  # fmt: skip
REPETITION: dict[str, tuple[dict[str, Any], str, str]] = {
    "empty": ({}, "a", ""),
    "dup_para_frac": ({"dup_para_char_frac": None}, "ab\n\ncd\n\nab\n\nef", "ab\n\ncd\n\nab"),
    "dup_para_char_frac": (
        {"dup_para_frac": None, "dup_line_frac": None},
        "abc\n\nabc" + "\n\n" + "d" * 10,
        "abc\n\nabc" + "\n\n" + "d",
    ),
    "dup_line_frac": ({"dup_line_char_frac": None}, "ab\ncd\nab\nef", "ab\ncd\nab"),
    "dup_line_char_frac": ({"dup_line_frac": None}, "abc\nabc\n" + "d" * 10, "abc\nabc\nd"),
    "top_2_gram": ({"top_n_grams": [(2, 0.2)]}, WORDS, WORDS + " the river the river the river"),
    "top_3_gram": ({"top_n_grams": [(3, 0.2)]}, WORDS, WORDS + " a red mill a red mill a red mill"),
    "duplicated_5_n_grams": ({}, WORDS, WORDS + " " + WORDS),
    "duplicated_8_n_grams": ({"dup_n_grams": [(8, 0.4)]}, WORDS, WORDS + " " + WORDS),
}
LINE = "The mill stands by the river."
C4: dict[str, tuple[dict[str, Any], str, str]] = {
    "lorem_ipsum": ({}, LINE, "It is Lorem Ipsum again."),
    "curly_bracket": ({}, LINE + "\nif {", LINE + "\nIt is a { here."),
    "too_few_sentences": ({"min_num_sentences": 2}, LINE + " So it is.", LINE),
}
FINEWEB: dict[str, tuple[dict[str, Any], str, str]] = {
    "empty": ({}, LINE * 2, " \n "),
    "line_punct_ratio": ({}, LINE * 2, LINE * 2 + " and"),
    "short_line_ratio": ({"new_line_ratio": 1}, LINE * 2 + "\nIt is.", LINE * 2 + "\nIt is.\nIt was.\nSo."),
    "char_dup_ratio": ({}, LINE * 2 + "\n" + LINE * 3, LINE * 2 + "\n" + LINE * 2),
    "list_ratio": ({"short_line_thr": 1}, "a b c d.\ne f g h.", "a b.\nc d.\ne."),
}
FAMILIES = {"gopher_quality": QUALITY, "gopher_repetition": REPETITION, "c4": C4, "fineweb": FINEWEB}
CASES = [(family, reason, *case) for family, cases in FAMILIES.items() for reason, case in cases.items()]
LOOSE = {
    "gopher_quality": {
        "min_doc_words": None,
        "min_stop_words": None,
        "min_avg_word_length": None,
        "max_non_alpha_words_ratio": None,
    },
    "gopher_repetition": {"top_n_grams": []},
    "c4": {"min_num_sentences": 1},
    "fineweb": {},
}
CHINESE = (
    "春天来了，河边的老磨坊又开始转动，磨坊主人每天傍晚带着两条狗沿着小路慢慢走回家去，孩子们在桥上等他。\n"
    "他们在路上谈论天气和收成，有时也说起城里的事情，那里的灯火整夜不灭，是老人年轻时见过的。\n"
    "夏天的夜里，村里的人坐在树下乘凉，听老人讲从前的故事，直到月亮升起。"
)


def run(texts: list[str | None], languages: list[str], **families: Any) -> Verdict:
    return judge(pa.array(texts, pa.large_string()), languages, FilterConfig.model_validate({**OFF, **families}))


@pytest.mark.parametrize(("family", "reason", "settings", "kept", "dropped"), CASES)
def test_each_rule_keeps_and_drops(family: str, reason: str, settings: dict[str, Any], kept: str, dropped: str) -> None:
    loose = {**LOOSE[family], **settings}
    if reason == "gopher_enough_stop_words":
        loose["min_stop_words"] = 2
    verdict = run([kept, dropped], ["en", "en"], **{family: loose})
    assert verdict.reasons == [None, f"{family}.{reason}"]
    assert f"{family}.{reason}" in SETTINGS
    assert verdict.texts.to_pylist()[1] == dropped


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("  So it is [12], they[edit] say [citation needed].  ", "So it is , they say ."),
        ("It has no end", ""),
        ("It goes on and on...", ""),
        ("Two words.", ""),
        ("Turn on JavaScript to read this.", ""),
        ("Read our Privacy Policy or the Terms of Use.", ""),
        ("We use coo\u212aies all the day.", ""),  # the Kelvin sign is a k in lower case
        ("A word of " + "a" * 1001 + " is long.", ""),
        ("He said: “so it is.\"", "He said: “so it is.\""),
    ],
)  # fmt: skip
def test_c4_removes_lines_and_citations(line: str, left: str) -> None:
    verdict = run([f"{LINE}\r\n{line}\x0b{LINE}"], ["en"], c4={"min_num_sentences": -1})
    assert verdict.texts.to_pylist() == ["\n".join(filter(None, (LINE, left, LINE)))]


def test_the_order_of_families_and_what_later_ones_see() -> None:
    text = LINE * 5 + "\nmenu\nhome\nlogin\nabout\nnews\nshop"
    fineweb = {"char_duplicates_ratio": 1}
    alone = run([text], ["en"], fineweb=fineweb)
    after = run([text], ["en"], c4={}, fineweb=fineweb)
    assert alone.reasons == ["fineweb.short_line_ratio"]
    assert (after.reasons, after.texts.to_pylist()) == ([None], [LINE * 5])
    both = run(["a"], ["en"], gopher_quality={}, gopher_repetition={}, c4={}, fineweb={})
    assert both.reasons == ["gopher_quality.gopher_short_doc"]


def test_chinese_has_its_own_words_ends_and_stop_words() -> None:
    families: dict[str, Any] = {
        "gopher_quality": {},
        "gopher_repetition": {},
        "c4": {"min_num_sentences": 3},
        "fineweb": {},
    }
    assert run([CHINESE, CHINESE], ["zh", "zh-Hant-TW"], **families).reasons == [None, None]
    assert run([CHINESE], ["en"], **families).reasons != [None]
    assert run([CHINESE[:90]], ["zh"], gopher_quality={}).reasons == ["gopher_quality.gopher_short_doc"]
    names = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜" * 4
    assert run([names], ["zh"], gopher_quality={}).reasons == ["gopher_quality.gopher_enough_stop_words"]
    assert run(["好好学习天天向上。" * 12], ["zh"], gopher_repetition={}).reasons[0] is not None
    menu = "首页\n新闻\n" + CHINESE + "\n本网站的隐私政策请见下面的页面。"
    assert run([menu], ["zh"], c4={"min_num_sentences": 1}).texts.to_pylist() == [CHINESE]


def test_none_empty_and_nothing() -> None:
    families: dict[str, Any] = {"gopher_quality": {}, "gopher_repetition": {}, "c4": {}, "fineweb": {}}
    assert run([None, ""], ["en", "zh"], **families).reasons == ["gopher_quality.gopher_short_doc"] * 2
    assert run([], [], **families).reasons == []
    assert run([None, ""], ["en", "zh"]).reasons == [None, None]
    with pytest.raises(ValueError, match="1 texts and 2 languages"):
        run(["a"], ["en", "en"])
