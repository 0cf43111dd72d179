"""Compiled: repeated runs of words, counted in characters as datatrove's Gopher filter counts them."""

import numpy as np

from tasks.corpus.quality.compiled import compiled
from tasks.corpus.quality.english import CHARACTER, INVERSE, MIX


@compiled
def _spread(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> np.uint64(32))) * np.uint64(MIX)
    return value ^ (value >> np.uint64(32))


@compiled
def _slots(count):  # type: ignore[no-untyped-def]
    """A power of two of at least twice the entries."""
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@compiled
def _power(base, exponent):  # type: ignore[no-untyped-def]
    result = np.uint64(1)
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@compiled
def top_runs(words, lengths, bounds, wanted, size, gap, top):  # type: ignore[no-untyped-def]
    """top[i]: characters of text i in all occurrences of its commonest run of ``size`` words.

    gap: characters between two words of a run, 1 or 0. The first of equally common runs counts; 0 for shorter texts.
    """
    longest = 0
    for document in range(len(top)):
        longest = max(longest, bounds[document + 1] - bounds[document])
    slots = _slots(longest)
    keys, counts = np.empty(slots, dtype=np.uint64), np.zeros(slots, dtype=np.int32)
    firsts, used = np.empty(slots, dtype=np.int32), np.full(slots, -1, dtype=np.int32)
    for document in range(len(top)):
        low, high = bounds[document], bounds[document + 1]
        top[document] = 0
        if not wanted[document] or high - low < size:
            continue
        mask = np.uint64(_slots(high - low) - 1)
        best, place = 0, 0
        for start in range(low, high - size + 1):
            mixed = words[start]
            for offset in range(1, size):
                mixed = _spread(mixed) + words[start + offset]
            mixed = _spread(mixed)
            slot = mixed & mask
            while used[slot] == document and keys[slot] != mixed:
                slot = (slot + np.uint64(1)) & mask
            if used[slot] != document:
                used[slot], keys[slot], counts[slot], firsts[slot] = document, mixed, 0, start - low
            counts[slot] += 1
            if counts[slot] > best or (counts[slot] == best and firsts[slot] < place):
                best, place = counts[slot], firsts[slot]
        characters = gap * (size - 1)
        for word in range(low + place, low + place + size):
            characters += lengths[word]
        top[document] = characters * best


@compiled
def repeated_runs(words, lengths, bounds, wanted, sizes, repeated):  # type: ignore[no-untyped-def]
    """repeated[k, i]: characters of text i in runs of sizes[k] words that stood before.

    Runs are compared by their characters without spaces; after a repeated run counting goes on behind it.
    """
    texts = len(bounds) - 1
    longest = 0
    for document in range(texts):
        longest = max(longest, bounds[document + 1] - bounds[document])
    slots = _slots(longest)
    keys, used = np.empty(slots, dtype=np.uint64), np.full(slots, -1, dtype=np.int64)
    # Hash of the first words' characters; what divides it by the power that they have; characters
    sums, shifts = np.empty(longest + 1, dtype=np.uint64), np.empty(longest + 1, dtype=np.uint64)
    ends = np.empty(longest + 1, dtype=np.int64)
    for document in range(texts):
        low, high = bounds[document], bounds[document + 1]
        repeated[:, document] = 0
        if not wanted[document]:
            continue
        mask = np.uint64(_slots(high - low) - 1)
        total, power, shift = np.uint64(0), np.uint64(1), np.uint64(1)
        sums[0], shifts[0], ends[0] = total, shift, 0
        for word in range(low, high):
            total += words[word] * power
            power *= _power(np.uint64(CHARACTER), lengths[word])
            shift *= _power(np.uint64(INVERSE), lengths[word])
            at = word - low + 1
            sums[at], shifts[at], ends[at] = total, shift, ends[at - 1] + lengths[word]
        for which in range(len(sizes)):
            size, stamp = sizes[which], document * len(sizes) + which
            place, count = 0, 0
            while place < high - low - size + 1:
                mixed = _spread((sums[place + size] - sums[place]) * shifts[place])
                slot = mixed & mask
                while used[slot] == stamp and keys[slot] != mixed:
                    slot = (slot + np.uint64(1)) & mask
                if used[slot] == stamp:
                    count += ends[place + size] - ends[place]
                    place += size
                else:
                    used[slot], keys[slot] = stamp, mixed
                    place += 1
            repeated[which, document] = count
