"""Compiled: case-folded words, as `tasks.corpus.words.words_of` has them, and what the basic filters count."""

import numpy as np

from tasks.corpus.quality.characters import ALONE, MANY, OF_WORD, SPACE, WORD, WORDLIKE
from tasks.corpus.quality.compiled import compiled
from tasks.corpus.quality.english import CHARACTER, MIX

NEW_LINE = 0x0A


@compiled
def _spread(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> np.uint64(32))) * np.uint64(MIX)
    return value ^ (value >> np.uint64(32))


@compiled
def _fresh(hashed, keys, used, stamp, mask):  # type: ignore[no-untyped-def]
    """Enter a hash; whether it was not yet there."""
    slot = hashed & mask
    while used[slot] == stamp:
        if keys[slot] == hashed:
            return False
        slot = (slot + np.uint64(1)) & mask
    used[slot], keys[slot] = stamp, hashed
    return True


@compiled
def split_folded(codes, starts, flags, folded, many, words, lengths, bounds):  # type: ignore[no-untyped-def]
    """Fill words (hashes as of `english.word_hash`), lengths in folded characters, and bounds of each text in them.

    A word is a run of letters and digits; a character of a script without spaces is a word by itself.
    """
    total = 0
    for document in range(len(starts) - 1):
        bounds[document] = total
        hashed, power, length = np.uint64(0), np.uint64(1), 0
        for place in range(starts[document], starts[document + 1]):
            code = codes[place]
            flag = flags[code]
            if flag & WORD:
                hashed += np.uint64(folded[code] + np.uint32(1)) * power
                power *= np.uint64(CHARACTER)
                length += 1
                continue
            if flag & MANY:
                row = folded[code]
                for part in range(1, many[row, 0] + 1):
                    entry = many[row, part]
                    if entry & np.uint32(OF_WORD):
                        hashed += np.uint64((entry & np.uint32(OF_WORD - 1)) + np.uint32(1)) * power
                        power *= np.uint64(CHARACTER)
                        length += 1
                    elif length:
                        words[total], lengths[total] = hashed, length
                        total += 1
                        hashed, power, length = np.uint64(0), np.uint64(1), 0
                continue
            if length:
                words[total], lengths[total] = hashed, length
                total += 1
                hashed, power, length = np.uint64(0), np.uint64(1), 0
            if flag & ALONE:
                words[total], lengths[total] = np.uint64(folded[code] + np.uint32(1)), 1
                total += 1
        if length:
            words[total], lengths[total] = hashed, length
            total += 1
    bounds[len(starts) - 1] = total


@compiled
def measure(codes, starts, flags, out):  # type: ignore[no-untyped-def]
    """out[i]: letters, marks and white space; words between white space, their characters; lines, distinct lines.

    Lines are stripped, and blank ones left out.
    """
    most = 0
    for document in range(len(starts) - 1):
        feeds = 1
        for place in range(starts[document], starts[document + 1]):
            feeds += codes[place] == NEW_LINE
        most = max(most, feeds)
    size = 16
    while size < 2 * most:
        size *= 2
    keys, used = np.empty(size, dtype=np.uint64), np.full(size, -1, dtype=np.int64)
    for document in range(len(starts) - 1):
        high = starts[document + 1]
        letters = words = characters = lines = distinct = 0
        hashed = kept = np.uint64(0)  # of the line; of the line up to its last character that is no space
        inside = False
        for place in range(starts[document], high):
            code = codes[place]
            flag = flags[code]
            letters += (flag & WORDLIKE) != 0
            if flag & SPACE:
                inside = False
                if code == NEW_LINE:
                    if kept:
                        lines += 1
                        distinct += _fresh(_spread(kept), keys, used, document, np.uint64(size - 1))
                    hashed = kept = np.uint64(0)
                elif hashed:
                    hashed = hashed * np.uint64(CHARACTER) + np.uint64(code + np.uint32(1))
            else:
                words += not inside
                inside = True
                characters += 1
                hashed = hashed * np.uint64(CHARACTER) + np.uint64(code + np.uint32(1))
                kept = hashed
        if kept:
            lines += 1
            distinct += _fresh(_spread(kept), keys, used, document, np.uint64(size - 1))
        out[document, 0], out[document, 1], out[document, 2] = letters, words, characters
        out[document, 3], out[document, 4] = lines, distinct


@compiled
def commonest(words, bounds, size, counts):  # type: ignore[no-untyped-def]
    """counts[i]: how often the commonest run of ``size`` words of text i occurs; 0 where a text is shorter."""
    longest = 0
    for document in range(len(counts)):
        longest = max(longest, bounds[document + 1] - bounds[document])
    slots = 16
    while slots < 2 * longest:
        slots *= 2
    keys, times = np.empty(slots, dtype=np.uint64), np.zeros(slots, dtype=np.int64)
    used = np.full(slots, -1, dtype=np.int64)
    for document in range(len(counts)):
        low, high = bounds[document], bounds[document + 1]
        fit = 16
        while fit < 2 * (high - low):
            fit *= 2
        mask = np.uint64(fit - 1)
        counts[document] = 0
        for start in range(low, high - size + 1):
            mixed = words[start]
            for offset in range(1, size):
                mixed = _spread(mixed) + words[start + offset]
            mixed = _spread(mixed)
            slot = mixed & mask
            while used[slot] == document and keys[slot] != mixed:
                slot = (slot + np.uint64(1)) & mask
            if used[slot] != document:
                used[slot], keys[slot], times[slot] = document, mixed, 0
            times[slot] += 1
            counts[document] = max(counts[document], times[slot])


@compiled
def distinct_of(words, bounds, chosen, counts):  # type: ignore[no-untyped-def]
    """counts[i]: how many of the chosen words' hashes (sorted) text i has."""
    met = np.full(len(chosen), -1, dtype=np.int64)
    table = np.full(4096, -1, dtype=np.int64)  # by the top bits: whether a search is worth it
    for hashed in chosen:
        table[(hashed * np.uint64(MIX)) >> np.uint64(52)] = 1
    for document in range(len(counts)):
        count = 0
        for word in range(bounds[document], bounds[document + 1]):
            hashed = words[word]
            if table[(hashed * np.uint64(MIX)) >> np.uint64(52)] < 0:
                continue
            at = np.searchsorted(chosen, hashed)
            if at < len(chosen) and chosen[at] == hashed and met[at] != document:
                met[at] = document
                count += 1
        counts[document] = count
