"""Compiled kernel over UTF-8 bytes: words, shingles, MinHash, Jaccard similarity, known runs of words.

`portable.py` gives the same numbers.

All compiled functions stand in this one file: numba's cache looks at the file of the function that is called, and
would not see a change of one that it calls in another file. Each releases the GIL and looks at one document at a
time, so threads change nothing. uint32 * uint32 is uint64 to numba: products are cut back by hand.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tasks.corpus.neardup.characters import HAN_END, PLANES, character_table
from tasks.corpus.neardup.hashing import CHARACTER, FINISH_1, FINISH_2, WORD

BLOCK = 2048  # words hashed at a time: a document of any length needs no more memory
MASK = 0x1FFFFF
OPEN, CLOSED = 1, 0

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Hashes32 = NDArray[np.uint32]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile once for this machine; without a folder that can be written, once a process."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return numba.njit(nogil=True, error_model="numpy")(function)


@compiled
def _finish(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> np.uint64(30))) * np.uint64(FINISH_1)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(FINISH_2)
    return value ^ (value >> np.uint64(31))


@compiled
def _next_words(data, at, end, table, words, filled):  # type: ignore[no-untyped-def]
    """Append hashes of the words of data[at:end] until ``words`` is full; returns where it stopped, and how many."""
    hashed, state = np.uint64(0), CLOSED
    while at < end:
        byte = np.uint32(data[at])
        if byte < 0x80:
            entry, width = table[byte], 1
        elif byte < 0xE0:
            entry, width = table[((byte & 0x1F) << 6) | (data[at + 1] & 0x3F)], 2
        elif byte < 0xF0:
            code = ((byte & 0x0F) << 12) | (np.uint32(data[at + 1] & 0x3F) << 6) | (data[at + 2] & 0x3F)
            entry, width = table[code], 3
        else:
            code = ((byte & 0x07) << 18) | (np.uint32(data[at + 1] & 0x3F) << 12)
            code |= (np.uint32(data[at + 2] & 0x3F) << 6) | (data[at + 3] & 0x3F)
            if code < PLANES:
                entry = table[code]
            elif code < HAN_END:
                entry = np.uint32(code | (1 << 31))
            else:
                entry = np.uint32(0)
            width = 4
        if entry < np.uint32(1 << 30):
            if entry != 0:
                hashed = hashed * np.uint64(CHARACTER) + np.uint64(entry)
                state = OPEN
                at += width
                continue
        elif entry < np.uint32(1 << 31):
            if state == OPEN:
                hashed = hashed * np.uint64(CHARACTER) + np.uint64(entry & np.uint32(MASK))
            at += width
            continue
        # Between words, or a word by itself
        if state == OPEN:
            words[filled] = _finish(hashed)
            filled += 1
            hashed, state = np.uint64(0), CLOSED
            if filled == len(words):
                return at, filled
        at += width
        if entry != 0:
            words[filled] = _finish(np.uint64(entry & np.uint32(MASK)))
            filled += 1
            if filled == len(words):
                return at, filled
    if state == OPEN:
        words[filled] = _finish(hashed)
        filled += 1
    return at, filled


@compiled
def _shingles(words, count, size, shingles):  # type: ignore[no-untyped-def]
    """Hash of each run of ``size`` words among the first ``count``, which are at least as many."""
    for start in range(count - size + 1):
        mixed = words[start]
        for offset in range(1, size):
            mixed = mixed * np.uint64(WORD) + words[start + offset]
        shingles[start] = _finish(mixed)


@compiled
def _band_keys(data, offsets, table, size, factors, keys, counts):  # type: ignore[no-untyped-def]
    """Fill keys [bands, documents] and counts [documents], the number of shingles with repeats."""
    bands, rows = len(keys), len(factors) // len(keys)
    words = np.empty(BLOCK + size, dtype=np.uint64)
    shingles = np.empty(BLOCK + size, dtype=np.uint64)
    high = np.empty(BLOCK + size, dtype=np.uint32)
    least = np.empty(len(factors), dtype=np.uint32)
    for document in range(len(counts)):
        least[:] = np.uint32(0xFFFFFFFF)
        at, end, filled, total = offsets[document], offsets[document + 1], 0, 0
        while at < end:
            at, filled = _next_words(data, at, end, table, words, filled)
            width = size if filled >= size else filled if at >= end and total == 0 else 0
            if width == 0:
                continue
            count = filled - width + 1
            _shingles(words, filled, width, shingles)
            for place in range(count):
                high[place] = np.uint32(shingles[place] >> np.uint64(32))
            for which in range(len(factors)):
                factor, low = factors[which], least[which]
                for place in range(count):
                    low = min(low, np.uint32(high[place] * factor))
                least[which] = low
            total += count
            for place in range(width - 1):
                words[place] = words[filled - width + 1 + place]
            filled = width - 1
        counts[document] = total
        for band in range(bands):
            mixed = np.uint64(0)
            for row in range(rows):
                mixed = mixed * np.uint64(WORD) + np.uint64(least[band * rows + row])
            keys[band, document] = _finish(mixed)


@compiled
def _shingle_hashes(data, offsets, table, size, flat):  # type: ignore[no-untyped-def]
    """Fill ``flat`` with the upper halves of the shingles' hashes, in order, with repeats."""
    words = np.empty(BLOCK + size, dtype=np.uint64)
    shingles = np.empty(BLOCK + size, dtype=np.uint64)
    written = 0
    for document in range(len(offsets) - 1):
        at, end, filled, begin = offsets[document], offsets[document + 1], 0, written
        while at < end:
            at, filled = _next_words(data, at, end, table, words, filled)
            width = size if filled >= size else filled if at >= end and written == begin else 0
            if width == 0:
                continue
            count = filled - width + 1
            _shingles(words, filled, width, shingles)
            for place in range(count):
                flat[written + place] = np.uint32(shingles[place] >> np.uint64(32))
            written += count
            for place in range(width - 1):
                words[place] = words[filled - width + 1 + place]
            filled = width - 1


@compiled
def _find_runs(data, offsets, table, sizes, bits, buckets, keys, found):  # type: ignore[no-untyped-def]
    """See `find_runs`. A run of ``size`` words is a difference of two running sums: one multiplication."""
    least, longest, room = sizes[0], sizes[-1], found.shape[1]
    powers = np.empty(len(sizes), dtype=np.uint64)
    for which in range(len(sizes)):
        powers[which] = np.uint64(1)
        for _ in range(sizes[which]):
            powers[which] *= np.uint64(WORD)
    words = np.empty(BLOCK + longest, dtype=np.uint64)
    sums = np.zeros(BLOCK + longest + 1, dtype=np.uint64)
    bit_mask, shift, total = np.uint64(8 * len(bits) - 1), np.uint64(64), 0
    while len(buckets) - 1 >> np.int64(np.uint64(64) - shift) > 1:
        shift -= np.uint64(1)
    for document in range(len(offsets) - 1):
        at, end, filled, before = offsets[document], offsets[document + 1], 0, 0
        while at < end:
            at, filled = _next_words(data, at, end, table, words, filled)
            for place in range(filled):
                sums[place + 1] = sums[place] * np.uint64(WORD) + words[place]
            # A start whose longest run may go on in the next block waits for it
            stop = max(0, filled - (least if at >= end else longest) + 1)
            for place in range(stop):
                key = _finish(sums[place + least] - sums[place] * powers[0] + np.uint64(least))
                bit, other = key & bit_mask, key >> np.uint64(32) & bit_mask
                if not bits[bit >> np.uint64(3)] >> (bit & np.uint64(7)) & 1:
                    continue
                if not bits[other >> np.uint64(3)] >> (other & np.uint64(7)) & 1:
                    continue
                for which in range(len(sizes)):
                    size = sizes[which]
                    if place + size > filled:
                        break
                    key = _finish(sums[place + size] - sums[place] * powers[which] + np.uint64(size))
                    bucket = np.int64(key >> shift)
                    for entry in range(buckets[bucket], buckets[bucket + 1]):
                        if keys[entry] == key:
                            if total < room:
                                found[0, total], found[1, total], found[2, total] = document, before + place, entry
                            total += 1
            for place in range(filled - stop):
                words[place] = words[stop + place]
            filled, before = filled - stop, before + stop
    return total


@compiled
def similarity(flat, starts, sizes, limits, left, right, out):  # type: ignore[no-untyped-def]
    """out[i]: Jaccard similarity of the sorted sets left[i] and right[i], as far as both of them are known."""
    for pair in range(len(left)):
        one, other = left[pair], right[pair]
        a, b, limit = starts[one], starts[other], min(limits[one], limits[other])
        a_end, b_end = a + sizes[one], b + sizes[other]
        both = union = 0
        while a < a_end and b < b_end:
            low, high = flat[a], flat[b]
            if min(low, high) > limit:
                break
            both += low == high
            union += 1
            a += low <= high
            b += high <= low
        while a < a_end and flat[a] <= limit:
            union, a = union + 1, a + 1
        while b < b_end and flat[b] <= limit:
            union, b = union + 1, b + 1
        out[pair] = both / union if union else 0.0


def band_keys(data: Bytes, offsets: Offsets, size: int, factors: Hashes32, keys: Hashes, counts: Offsets) -> None:
    """Fill keys [bands, documents] and counts [documents], the number of shingles with repeats."""
    _band_keys(data, offsets, character_table(), size, factors, keys, counts)


def shingle_hashes(data: Bytes, offsets: Offsets, size: int, flat: Hashes32) -> None:
    """Fill ``flat`` with the upper halves of the shingles' hashes, in order, with repeats."""
    _shingle_hashes(data, offsets, character_table(), size, flat)


def find_runs(
    data: Bytes, offsets: Offsets, sizes: Offsets, bits: Bytes, buckets: Offsets, keys: Hashes, found: Offsets
) -> int:
    """How many runs of words have a known key; the first of them fill the columns of ``found``.

    sizes: [n] words of the runs that are known, ascending. keys: [k] sorted, as `portable.run_keys` makes them.
    buckets: [2^b + 1], b > 0, begin in ``keys`` of those with each value of the upper b bits. bits: [2^c] bytes, a
    Bloom filter of two hashes (the lower bits of each half) over keys of the first sizes[0] words of each run.
    found: [3, room], row by row: document, position of the first word in it, and position of the key.
    """
    return int(_find_runs(data, offsets, character_table(), sizes, bits, buckets, keys, found))
