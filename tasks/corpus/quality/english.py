"""Words of text in languages with spaces, as datatrove has them from spaCy; sentences too."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.corpus.quality.characters import characters, english_rules

# Of the hashes of words and special cases
CHARACTER = 0x9E3779B97F4A7C15
INVERSE = pow(CHARACTER, -1, 1 << 64)
MIX = 0xD6E8FEB86659FD93
LONGEST, LONGEST_UNIT = 12, 5  # characters of a special case, and of a unit
NOT_SYMBOL, HAS_LETTER = 1, 2  # kinds of a word, both may hold
SPECIAL_SLOTS, UNIT_SLOTS = 1 << 13, 1 << 9
MASK = (1 << 64) - 1

Codes = NDArray[np.uint32]
Int64 = NDArray[np.int64]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a batch, one after the other; text i has words[bounds[i]:bounds[i + 1]].

    hashes: of the characters. lengths: characters. kinds: `NOT_SYMBOL` and `HAS_LETTER` of english_kernel.
    sentences: of each text, as spaCy's sentencizer counts them.
    """

    hashes: Hashes
    lengths: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    bounds: Int64
    sentences: Int64


def word_hash(word: str) -> int:
    """The hash that the kernels give a word: the sum of (code + 1) * CHARACTER**place."""
    return sum((ord(character) + 1) * pow(CHARACTER, place, 1 << 64) for place, character in enumerate(word)) & MASK


@dataclass(frozen=True, slots=True)
class Rules:
    """Tables of open addressing. pieces: lengths of a special case's words; splits: bits of its tokens' ends."""

    keys: Hashes
    pieces: NDArray[np.int64]
    splits: Int64
    units: Hashes


@cache
def rules() -> Rules:
    """Special cases and units of english_rules.json."""
    data = english_rules()
    keys = np.zeros(SPECIAL_SLOTS, dtype=np.uint64)
    pieces = np.zeros((SPECIAL_SLOTS, 3), dtype=np.int64)
    splits = np.zeros(SPECIAL_SLOTS, dtype=np.int64)
    for text, rule in data["rules"].items():
        slot = _insert(keys, text)
        pieces[slot, : len(rule[0])] = rule[0]
        if len(rule) == 2:
            splits[slot] = sum(1 << int(end) for end in np.cumsum(rule[1]))
    units = np.zeros(UNIT_SLOTS, dtype=np.uint64)
    for text in data["after_digits"]:
        _insert(units, text)
    return Rules(keys, pieces, splits, units)


def _insert(keys: Hashes, text: str) -> int:
    """Slot of a text, as `_slot` of the kernel finds it."""
    hashed = word_hash(text)
    slot = ((hashed * MIX & MASK) >> 40) & (len(keys) - 1)
    while keys[slot]:
        slot = (slot + 1) & (len(keys) - 1)
    keys[slot] = hashed
    return slot


def split_english(codes: Codes, starts: Int64) -> Words:
    """Words of texts, given as code points and where each text begins (one entry more than texts)."""
    from tasks.corpus.quality import english_kernel

    count, longest = int(starts[-1]), int(np.diff(starts).max(initial=0)) + 1
    words = np.empty(count, dtype=np.uint64)
    lengths, kinds = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.uint8)
    bounds, sentences = np.zeros(len(starts), dtype=np.int64), np.zeros(len(starts) - 1, dtype=np.int64)
    scratch: list[Any] = [np.empty(longest, dtype=np.int64) for _ in range(3)]
    table = rules()
    english_kernel.split_english(
        codes, starts, characters().flags, table.keys, table.pieces, table.splits, table.units, *scratch,
        words, lengths, kinds, bounds, sentences,
    )  # fmt: skip
    total = int(bounds[-1])
    return Words(words[:total], lengths[:total], kinds[:total], bounds, sentences)
