"""Case-folded words of texts, a character of a script without spaces being one; the same as `words.words_of`."""

import numpy as np

from tasks.corpus.quality import folded_kernel
from tasks.corpus.quality.characters import characters
from tasks.corpus.quality.english import Codes, Int64, Words, word_hash


def split_folded(codes: Codes, starts: Int64) -> Words:
    """Words of texts, given as code points and where each text begins. Kinds and sentences are left empty."""
    table = characters()
    room = 3 * len(codes) if table.many_count else len(codes)
    words, lengths = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.int32)
    bounds = np.zeros(len(starts), dtype=np.int64)
    folded_kernel.split_folded(codes, starts, table.flags, table.folded, table.many, words, lengths, bounds)
    total = int(bounds[-1])
    return Words(words[:total], lengths[:total], np.zeros(0, np.uint8), bounds, np.zeros(0, np.int64))


def distinct(words: Words, chosen: frozenset[str]) -> Int64:
    """How many of the chosen words each text has."""
    hashes = np.array(sorted(map(word_hash, chosen)), dtype=np.uint64)
    counts = np.zeros(len(words.bounds) - 1, dtype=np.int64)
    folded_kernel.distinct_of(words.hashes, words.bounds, hashes, counts)
    return counts
