"""Quality filters: each is a name, the settings that turn it, and a test. After Gopher (Rae et al. 2021, A.1.1)."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from configs.schema.corpus import FilterConfig
from tasks.corpus.words import HashArray, is_unspaced, shingle_hashes, words_of

NOT_LETTER = re.compile(r"[^\w\s]|[\d_]")
ASCII_NOT_LETTER = {code: None for code in range(128) if not (chr(code).isalpha() or chr(code).isspace())}
# fmt: off
STOP_WORDS = frozenset((
    "the", "be", "to", "of", "and", "that", "have", "with", "a", "an", "in", "is", "was", "it", "for", "on",
    "as", "at", "by", "he", "she", "they", "we", "you", "i", "from", "this", "his", "her", "its", "their",
    "are", "were", "or", "but", "not", "had", "has", "my", "your", "our", "so", "if", "into", "who", "which",
    "when", "then", "there", "one", "all", "will", "would", "what",
))
# fmt: on
PHRASE, OCCURRENCES = 5, 3  # words of a phrase, and how often it must occur to count


class Page:
    """A document as the filters see it; what several of them need is computed once."""

    def __init__(self, text: str, language: str) -> None:
        self.text = text
        self.language = language
        self._shingles: dict[int, HashArray] = {}

    @cached_property
    def tokens(self) -> list[str]:
        """Case-folded words without punctuation."""
        return words_of(self.text)

    @cached_property
    def words(self) -> list[str]:
        """Words as written; characters in scripts without spaces."""
        return self.tokens if is_unspaced(self.language) else self.text.split()

    def shingles(self, size: int) -> HashArray:
        """Hash of each run of ``size`` words, in order."""
        if size not in self._shingles:
            self._shingles[size] = shingle_hashes(self.tokens, size)
        return self._shingles[size]


def letters(page: Page) -> float:
    """Share of characters that are letters, marks or white space."""
    if page.text.isascii():
        return len(page.text.translate(ASCII_NOT_LETTER)) / max(len(page.text), 1)
    others = sum(unicodedata.category(char)[0] != "M" for char in NOT_LETTER.findall(page.text))
    return 1 - others / len(page.text)


def symbols_per_word(page: Page) -> float:
    """Number signs and ellipses (… or three dots) a word."""
    symbols = page.text.count("#") + page.text.count("…") + page.text.count("...")
    return symbols / max(len(page.words), 1)


def mean_word(page: Page) -> float:
    """Mean length of the words in characters."""
    return sum(map(len, page.words)) / max(len(page.words), 1)


def repeated_lines(page: Page) -> float:
    """Share of the lines, blank ones left out, that stood before in the document."""
    lines = [line for line in (line.strip() for line in page.text.split("\n")) if line]
    return 1 - len(set(lines)) / max(len(lines), 1)


def top_phrase(page: Page) -> float:
    """Share of the words that the commonest 5-gram covers, counted when it occurs at least three times.

    Twice is no pattern: in a text of 30 words, an answer that takes up its question would be dropped.
    """
    if len(page.tokens) <= PHRASE:
        return 0.0
    _, counts = np.unique(page.shingles(PHRASE), return_counts=True)
    top = int(counts.max())
    return min(1.0, top * PHRASE / len(page.tokens)) if top >= OCCURRENCES else 0.0


@dataclass(frozen=True)
class Filter:
    """name: the reason in rejects. setting: the field of `FilterConfig` to change. fails: whether to drop."""

    name: str
    setting: str
    fails: Callable[[Page, FilterConfig], bool]
    spaced: bool = False  # only for languages with spaces between words
    english: bool = False  # only for English


FILTERS = (
    Filter("too_short", "min_characters", lambda page, limit: len(page.text) < limit.min_characters),
    Filter("too_long", "max_characters", lambda page, limit: len(page.text) > limit.max_characters),
    Filter("few_letters", "min_letters", lambda page, limit: letters(page) < limit.min_letters),
    Filter(
        "many_symbols", "max_symbols_per_word", lambda page, limit: symbols_per_word(page) > limit.max_symbols_per_word
    ),
    Filter("short_words", "min_mean_word", lambda page, limit: mean_word(page) < limit.min_mean_word, spaced=True),
    Filter("long_words", "max_mean_word", lambda page, limit: mean_word(page) > limit.max_mean_word, spaced=True),
    Filter("repeated_lines", "max_repeated_lines", lambda page, limit: repeated_lines(page) > limit.max_repeated_lines),
    Filter("repeated_phrase", "max_top_5gram", lambda page, limit: top_phrase(page) > limit.max_top_5gram),
    Filter(
        "few_stop_words",
        "min_stop_words",
        lambda page, limit: len(STOP_WORDS.intersection(page.tokens)) < limit.min_stop_words,
        english=True,
    ),
)


def failed_filter(page: Page, limits: FilterConfig) -> str | None:
    """Name of the first filter that drops the document, or None when it is kept."""
    unspaced, english = is_unspaced(page.language), page.language.lower().split("-")[0] == "en"
    for test in FILTERS:
        if (test.spaced and unspaced) or (test.english and not english):
            continue
        if test.fails(page, limits):
            return test.name
    return None
