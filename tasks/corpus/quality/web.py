"""C4's line rules (Raffel et al. 2020, 2.2) and FineWeb's (Penedo et al. 2024, 3.6), as datatrove applies them."""

from dataclasses import replace

import numpy as np

from configs.schema.quality import C4Config, FineWebConfig
from tasks.corpus.quality import c4_kernel, lines_kernel
from tasks.corpus.quality.batch import Batch
from tasks.corpus.quality.c4_kernel import CURLY_BRACKET, LOREM, LOREM_IPSUM, POLICY, POLICY_UNSPACED, SCRIPT
from tasks.corpus.quality.characters import Table, characters, english_rules
from tasks.corpus.quality.english import Codes, Int64, Words, split_english
from tasks.corpus.quality.folded import split_folded
from tasks.corpus.quality.group import Group, share

ENDS = ".?!\"'"
ENDS_UNSPACED = ENDS + "。！？．｡…；”’」』）》"
PHRASES = (
    ("lorem ipsum", LOREM),
    ("javascript", SCRIPT),
    *((phrase, POLICY) for phrase in ("terms of use", "privacy policy", "cookie policy", "uses cookies",
                                      "use of cookies", "use cookies")),
    *((phrase, POLICY_UNSPACED) for phrase in ("使用条款", "隐私政策", "隐私权政策", "使用條款", "隱私政策",
                                               "隱私權政策", "利用規約", "プライバシーポリシー")),
)  # fmt: skip
CITATIONS = ("[edit]", "[citation needed]")


def _codes(text: str) -> Codes:
    return np.array([ord(character) for character in text], dtype=np.uint32)


def _joined(texts: list[str]) -> tuple[Codes, Int64]:
    return _codes("".join(texts)), np.cumsum([len(text) for text in texts]).astype(np.int64)


def filter_c4(group: Group, limits: C4Config) -> None:
    """Reasons c4.NAME; the group's texts become the lines that stay."""
    codes, starts, flags = group.batch.codes, group.batch.starts, characters().flags
    texts = len(group.alive)
    kept = np.empty(len(codes), dtype=np.uint32)
    line_starts = np.empty(len(codes) + texts + 2, dtype=np.int64)
    bounds, verdicts = np.zeros(texts + 1, dtype=np.int64), np.zeros(texts, dtype=np.uint8)
    count = c4_kernel.clean_lines(
        codes, starts, flags, group.alive, np.full(texts, group.unspaced), _rules(group, limits),
        np.sort(_codes(ENDS)), np.sort(_codes(ENDS_UNSPACED)), *_joined([phrase for phrase, _ in PHRASES]),
        np.array([kind for _, kind in PHRASES], dtype=np.int64), *_joined(list(CITATIONS)),
        kept, line_starts, bounds, verdicts,
    )  # fmt: skip
    line_starts = line_starts[: count + 1].copy()
    kept = kept[: line_starts[-1]]
    group.drop("c4.lorem_ipsum", verdicts == LOREM_IPSUM)
    group.drop("c4.curly_bracket", verdicts == CURLY_BRACKET)
    words = (split_folded if group.unspaced else split_english)(kept, line_starts)
    sentences = words.sentences
    if group.unspaced:
        sentences = np.zeros(count, dtype=np.int64)
        c4_kernel.unspaced_sentences(kept, line_starts, flags, sentences)
    if limits.min_num_sentences != -1:
        of_lines = np.where(np.diff(line_starts) == 0, 1, sentences)  # datatrove counts an empty line as one
        totals = np.diff(np.concatenate(([0], np.cumsum(of_lines)))[bounds])
        group.drop("c4.too_few_sentences", totals < limits.min_num_sentences)
    joined, joined_starts = np.empty(len(kept) + count, dtype=np.uint32), np.zeros(texts + 1, dtype=np.int64)
    length = c4_kernel.join_lines(kept, line_starts, bounds, flags, joined, joined_starts)
    # Words do not reach over lines, so those of the lines are those of the new texts
    group.replace(Batch(joined[:length], joined_starts), _of_texts(words, bounds))


def _of_texts(words: Words, bounds: Int64) -> Words:
    """Words of lines as words of texts."""
    return replace(words, bounds=words.bounds[bounds], sentences=np.zeros(0, np.int64))


def _rules(group: Group, limits: C4Config) -> Int64:
    """What `c4_kernel.clean_lines` is to do, in its order."""
    fewest = limits.min_words_per_line
    return np.array([
        limits.max_word_length, fewest, group.scale(fewest) if fewest != -1 else -1,
        limits.remove_citations, limits.filter_no_terminal_punct, limits.filter_lorem_ipsum,
        limits.filter_javascript, limits.filter_curly_bracket, limits.filter_policy,
    ], dtype=np.int64)  # fmt: skip


def filter_fineweb(group: Group, limits: FineWebConfig) -> None:
    """Reasons fineweb.NAME; a text of blank lines alone is dropped as empty."""
    batch = group.batch
    counted = np.zeros((len(group.alive), 5), dtype=np.int64)
    short = limits.short_line_length // (2 if group.unspaced else 1)
    lines_kernel.fineweb(batch.codes, batch.starts, characters().flags, _stops(group, limits), short, counted)
    lines, ended, brief, repeated, feeds = counted.T
    group.drop("fineweb.empty", lines == 0)
    punctuated = share(ended, lines)
    excused = (punctuated == 0) & limits.line_punct_exclude_zero
    group.drop("fineweb.line_punct_ratio", (punctuated < limits.line_punct_thr) & ~excused)
    group.drop("fineweb.short_line_ratio", share(brief, lines) > limits.short_line_thr)
    group.drop("fineweb.char_dup_ratio", share(repeated, batch.lengths() - feeds) > limits.char_duplicates_ratio)
    group.drop("fineweb.list_ratio", share(feeds, group.word_counts()) > limits.new_line_ratio)


def _stops(group: Group, limits: FineWebConfig) -> Table:
    """Sorted characters that end a sentence."""
    if limits.stop_chars is not None:
        return np.unique(_codes("".join(limits.stop_chars)))
    return np.unique(_codes(english_rules()["terminal"] + (ENDS_UNSPACED if group.unspaced else "")))
