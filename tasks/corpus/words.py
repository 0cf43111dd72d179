"""Words and runs of words: what filters count."""

import re
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# Scripts written without spaces: each character counts as a word (kana, Han, Thai, Lao, Myanmar, Khmer).
UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003134f"
)
WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")
UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "km", "yue", "wuu"})
HAS_UNSPACED = re.compile(rf"[{UNSPACED}]")
PUNCTUATION = re.compile(r"[^\w\s]|_")
ASCII_PUNCTUATION = {code: " " for code in range(128) if not chr(code).isalnum()}
KNOWN_WORDS = 2_000_000  # entries of the word-hash table before it is emptied: about 250 MB

# The same words for RE2, which Arrow uses: it knows \w for ASCII only
_RE2 = re.sub(r"\\[uU]0*([0-9a-f]+)", r"\\x{\1}", UNSPACED)
COUNTED = rf"[{_RE2}]|(?:[^\PL{_RE2}]|[^\PN{_RE2}])+"

HashArray = NDArray[np.uint64]


class _WordHashes(dict[str, int]):
    """64-bit hash of each word met; a subclass, so that looking up a known word never leaves C."""

    def __missing__(self, word: str) -> int:
        value = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
        self[word] = value
        return value


_hashes = _WordHashes()


def words_of(text: str) -> list[str]:
    """Case-folded words, the matches of `WORD`; a character of a script without spaces is a word."""
    text = text.casefold()
    # The same words, three to ten times faster than findall, where no character is a word by itself.
    if text.isascii():
        return text.translate(ASCII_PUNCTUATION).split()
    if HAS_UNSPACED.search(text) is None:
        return PUNCTUATION.sub(" ", text).split()
    return WORD.findall(text)


def count_words(texts: pa.Array) -> NDArray[np.int64]:
    """Number of words of each text."""
    import pyarrow.compute as pc  # takes a while to load

    counts: NDArray[np.int64] = pc.count_substring_regex(texts, COUNTED).to_numpy().astype(np.int64)
    return counts


def is_unspaced(language: str) -> bool:
    """Whether a BCP 47 tag names a language that is written without spaces between words."""
    return language.lower().split("-")[0] in UNSPACED_LANGUAGES


def shingle_hashes(words: list[str], size: int) -> HashArray:
    """64-bit hash of each run of ``size`` words, in order; a shorter text is one shingle of all its words.

    The hash depends on the words alone, so it is the same in every process and every order of reading.
    """
    if len(_hashes) > KNOWN_WORDS:
        _hashes.clear()
    hashed = np.fromiter(map(_hashes.__getitem__, words), dtype=np.uint64, count=len(words))
    width = min(size, len(hashed))
    if width == 0:
        return hashed
    count = len(hashed) - width + 1
    mixed = np.zeros(count, dtype=np.uint64)
    for offset in range(width):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + hashed[offset : offset + count]
    return _scramble(mixed)


def _scramble(values: HashArray) -> HashArray:
    """SplitMix64's finaliser (Steele et al. 2014): spreads the polynomial's low bits over all 64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
