"""The basic filters: length, letters, symbols, repetition, function words. After Gopher (Rae et al. 2021, A.1.1)."""

import math
from typing import Any

import numpy as np

from configs.schema.quality import FilterConfig
from tasks.corpus.quality import folded_kernel, lines_kernel
from tasks.corpus.quality.characters import characters
from tasks.corpus.quality.english import Int64, Words
from tasks.corpus.quality.folded import distinct, split_folded
from tasks.corpus.quality.group import Group, share

# fmt: off
STOP_WORDS = frozenset((
    "the", "be", "to", "of", "and", "that", "have", "with", "a", "an", "in", "is", "was", "it", "for", "on",
    "as", "at", "by", "he", "she", "they", "we", "you", "i", "from", "this", "his", "her", "its", "their",
    "are", "were", "or", "but", "not", "had", "has", "my", "your", "our", "so", "if", "into", "who", "which",
    "when", "then", "there", "one", "all", "will", "would", "what",
))
# fmt: on
PHRASE, OCCURRENCES = 5, 3  # words of a phrase, and how often it must occur to count: twice is no pattern
SETTINGS = {
    "too_short": "min_characters",
    "too_long": "max_characters",
    "few_letters": "min_letters",
    "many_symbols": "max_symbols_per_word",
    "short_words": "min_mean_word",
    "long_words": "max_mean_word",
    "repeated_lines": "max_repeated_lines",
    "repeated_phrase": "max_top_5gram",
    "few_stop_words": "min_stop_words",
    "many_bullets": "max_bullet_lines",
    "few_tokens": "min_tokens",
    "many_tokens": "max_tokens",
}


def symbols(group: Group) -> Int64:
    """Of each text: number signs, ellipses, lines, lines that begin with a bullet, lines that end in an ellipsis."""
    out = np.zeros((len(group.alive), 5), dtype=np.int64)
    lines_kernel.symbols(group.batch.codes, group.batch.starts, characters().flags, out)
    return out


def filter_basic(group: Group, limits: FilterConfig, ascii_only: Any, counted: Int64 | None) -> None:
    """Drop texts outside the limits. ascii_only: of each text. counted: its tokens, words when None."""
    if _all_off(limits):
        return
    lengths = group.batch.lengths()
    good, spaced_words, spaced_characters, lines, fresh = _measured(group)
    marks = symbols(group)
    folded = split_folded(group.batch.codes, group.batch.starts)
    tokens = np.diff(folded.bounds)
    words = np.maximum(tokens if group.unspaced else spaced_words, 1)
    # Two ways to round, as the share was always taken
    other_share = 1 - share(lengths - good, lengths)
    group.drop("few_letters", np.where(ascii_only, share(good, lengths), other_share) < limits.min_letters)
    group.drop("many_symbols", (marks[:, 0] + marks[:, 1]) / words > limits.max_symbols_per_word)
    if not group.unspaced:
        group.drop("short_words", spaced_characters / words < limits.min_mean_word)
        group.drop("long_words", spaced_characters / words > limits.max_mean_word)
    group.drop("repeated_lines", 1 - fresh / np.maximum(lines, 1) > limits.max_repeated_lines)
    if limits.max_top_5gram < 1:
        group.drop("repeated_phrase", _top_phrase(folded, tokens) > limits.max_top_5gram)
    if limits.min_stop_words > 0:
        english = np.array([primary(language) == "en" for language in group.languages], dtype=bool)
        if english.any():
            group.drop("few_stop_words", english & (distinct(folded, STOP_WORDS) < limits.min_stop_words))
    if limits.max_bullet_lines is not None:
        group.drop("many_bullets", share(marks[:, 3], marks[:, 2]) > limits.max_bullet_lines)
    if counted is not None:
        tokens = counted
    if limits.min_tokens is not None:
        group.drop("few_tokens", tokens < limits.min_tokens)
    if limits.max_tokens is not None:
        group.drop("many_tokens", tokens > limits.max_tokens)


def _all_off(limits: FilterConfig) -> bool:
    """Whether no limit can drop a text, as when only families are wanted."""
    lows = (limits.min_letters, limits.min_mean_word, limits.min_stop_words)
    highs = (limits.max_symbols_per_word, limits.max_mean_word)
    shares = (limits.max_repeated_lines, limits.max_top_5gram)
    others = (limits.max_bullet_lines, limits.min_tokens, limits.max_tokens)
    off = not any(lows) and all(map(math.isinf, highs)) and min(shares) >= 1
    return off and all(limit is None for limit in others)


def _measured(group: Group) -> Int64:
    """Rows of `folded_kernel.measure`."""
    counted = np.zeros((len(group.alive), 5), dtype=np.int64)
    folded_kernel.measure(group.batch.codes, group.batch.starts, characters().flags, counted)
    return counted.T


def primary(language: str) -> str:
    """First part of a BCP 47 tag: zh of zh-Hant-TW."""
    return language.lower().split("-")[0]


def _top_phrase(words: Words, tokens: Int64) -> Any:
    """Share of the words that the commonest 5-gram covers, counted when it occurs at least three times."""
    top = np.zeros(len(tokens), dtype=np.int64)
    folded_kernel.commonest(words.hashes, words.bounds, PHRASE, top)
    covered = np.minimum(1.0, top * PHRASE / np.maximum(tokens, 1))
    return np.where((top >= OCCURRENCES) & (tokens > PHRASE), covered, 0.0)
