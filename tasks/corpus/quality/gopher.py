"""Gopher's rules (Rae et al. 2021, A.1.1 and table A1), as datatrove's filters of these names apply them."""

import numpy as np

from configs.schema.quality import GopherQualityConfig, GopherRepetitionConfig
from tasks.corpus.quality import lines_kernel, repeats_kernel
from tasks.corpus.quality.basic import primary, symbols
from tasks.corpus.quality.characters import characters
from tasks.corpus.quality.english import HAS_LETTER, NOT_SYMBOL
from tasks.corpus.quality.folded import distinct
from tasks.corpus.quality.group import Group, Mask, share

# The commonest function characters, of both ways of writing Chinese
STOP_WORDS = {
    "en": frozenset(("the", "be", "to", "of", "and", "that", "have", "with")),
    "zh": frozenset("的了是在和有不这中为与以于及或也这爲為與於這"),
    "ja": frozenset("のはにをがでともたしるな"),
}
REPEATED_CHARACTERS = 3  # a word of dup_n_grams: with two, 40 % of Chinese laws would be dropped for their set phrases
STOP_WORDS["yue"] = STOP_WORDS["wuu"] = STOP_WORDS["zh"] | frozenset("嘅係咗")


def filter_quality(group: Group, limits: GopherQualityConfig) -> None:
    """Reasons gopher_quality.NAME. A limit of 0 or none is not checked. Word lengths only where spaces part words."""
    words = group.words()
    counts = group.word_counts()
    plain = counts
    if not group.unspaced:
        real = (words.kinds & NOT_SYMBOL) != 0
        plain = _sums(real, words.bounds).astype(np.float64)
    if limits.min_doc_words:
        group.drop("gopher_quality.gopher_short_doc", plain < limits.min_doc_words)
    if limits.max_doc_words:
        group.drop("gopher_quality.gopher_long_doc", plain > limits.max_doc_words)
    if not group.unspaced:
        mean = share(_sums(words.lengths * real, words.bounds), plain)
        if limits.min_avg_word_length:
            group.drop("gopher_quality.gopher_below_avg_threshold", mean < limits.min_avg_word_length)
        if limits.max_avg_word_length:
            group.drop("gopher_quality.gopher_above_avg_threshold", mean > limits.max_avg_word_length)
    marks = symbols(group)
    if limits.max_symbol_word_ratio:
        limit = limits.max_symbol_word_ratio
        group.drop("gopher_quality.gopher_too_many_hashes", share(marks[:, 0], counts) > limit)
        group.drop("gopher_quality.gopher_too_many_ellipsis", share(marks[:, 1], counts) > limit)
    if limits.max_bullet_lines_ratio:
        bullets = share(marks[:, 3], marks[:, 2])
        group.drop("gopher_quality.gopher_too_many_bullets", bullets > limits.max_bullet_lines_ratio)
    if limits.max_ellipsis_lines_ratio:
        ends = share(marks[:, 4], marks[:, 2])
        group.drop("gopher_quality.gopher_too_many_end_ellipsis", ends > limits.max_ellipsis_lines_ratio)
    if limits.max_non_alpha_words_ratio and not group.unspaced:
        letters = share(_sums((words.kinds & HAS_LETTER) != 0, words.bounds), counts)
        group.drop("gopher_quality.gopher_below_alpha_threshold", letters < limits.max_non_alpha_words_ratio)
    if limits.min_stop_words:
        group.drop("gopher_quality.gopher_enough_stop_words", _few_stop_words(group, limits))


def _few_stop_words(group: Group, limits: GopherQualityConfig) -> Mask:
    """Whether a text has too few stop words of its language."""
    few = np.zeros(len(group.alive), dtype=bool)
    languages = np.array([primary(language) for language in group.languages])
    for language in set(languages[group.alive].tolist()):
        chosen = STOP_WORDS.get(language) if limits.stop_words is None else frozenset(limits.stop_words)
        if chosen is not None:
            few |= (languages == language) & (distinct(group.words(), chosen) < (limits.min_stop_words or 0))
    return few


def filter_repetition(group: Group, limits: GopherRepetitionConfig) -> None:
    """Reasons gopher_repetition.NAME. A limit of 0 or none is not checked; an empty text is dropped."""
    length = group.batch.lengths()
    group.drop("gopher_repetition.empty", length == 0)
    counted = np.zeros((len(length), 6), dtype=np.int64)
    lines_kernel.repetition(group.batch.codes, group.batch.starts, characters().flags, counted)
    paragraphs, again, in_them, lines, lines_again, in_lines = counted.T
    for name, limit, part, whole in (
        ("dup_para_frac", limits.dup_para_frac, again, paragraphs),
        ("dup_para_char_frac", limits.dup_para_char_frac, in_them, length),
        ("dup_line_frac", limits.dup_line_frac, lines_again, lines),
        ("dup_line_char_frac", limits.dup_line_char_frac, in_lines, length),
    ):
        if limit:
            group.drop(f"gopher_repetition.{name}", share(part, whole) > limit)
    words = group.words()
    for size, limit in limits.top_n_grams:
        top = np.zeros(len(length), dtype=np.int64)
        gap = 0 if group.unspaced else 1
        repeats_kernel.top_runs(words.hashes, words.lengths, words.bounds, group.alive, group.scale(size), gap, top)
        group.drop(f"gopher_repetition.top_{size}_gram", share(top, length) > limit)
    factor = REPEATED_CHARACTERS if group.unspaced else 1
    sizes = np.array([factor * size for size, _ in limits.dup_n_grams], dtype=np.int64)
    repeated = np.zeros((len(sizes), len(length)), dtype=np.int64)
    repeats_kernel.repeated_runs(words.hashes, words.lengths, words.bounds, group.alive, sizes, repeated)
    for (size, limit), characters_in in zip(limits.dup_n_grams, repeated, strict=True):
        group.drop(f"gopher_repetition.duplicated_{size}_n_grams", share(characters_in, length) > limit)


def _sums(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Sum of each text's values."""
    return np.diff(np.concatenate(([0], np.cumsum(values)))[bounds])
