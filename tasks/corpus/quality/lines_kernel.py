"""Compiled: what the filters count of lines and paragraphs."""

import numpy as np

from tasks.corpus.quality.characters import LINE_BREAK, SPACE
from tasks.corpus.quality.compiled import compiled
from tasks.corpus.quality.english import CHARACTER, MIX

NEW_LINE, RETURN, DOT, ELLIPSIS, BULLET, MINUS = 0x0A, 0x0D, 0x2E, 0x2026, 0x2022, 0x2D
NONE = np.uint32(0x110000)


@compiled
def _hash(codes, low, high):  # type: ignore[no-untyped-def]
    hashed = np.uint64(high - low + 1)
    for place in range(low, high):
        hashed = hashed * np.uint64(CHARACTER) + np.uint64(codes[place] + np.uint32(1))
    hashed = (hashed ^ (hashed >> np.uint64(32))) * np.uint64(MIX)
    return hashed ^ (hashed >> np.uint64(32))


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
def _table(codes, starts):  # type: ignore[no-untyped-def]
    """Slots for the lines of any of the texts."""
    most = 0
    for document in range(len(starts) - 1):
        lines = 1
        for place in range(starts[document], starts[document + 1]):
            lines += codes[place] == NEW_LINE
        most = max(most, lines)
    size = 16
    while size < 2 * most:
        size *= 2
    return size


@compiled
def repetition(codes, starts, flags, out):  # type: ignore[no-untyped-def]
    """out[i]: paragraphs, repeated ones and their characters, lines, repeated ones and their characters.

    As datatrove: paragraphs of the stripped text between two or more line feeds, lines between one or more.
    """
    size = _table(codes, starts)
    mask = np.uint64(size - 1)
    keys, used = np.empty(size, dtype=np.uint64), np.full(size, -1, dtype=np.int64)
    for document in range(len(starts) - 1):
        for part in range(2):
            low, high = starts[document], starts[document + 1]
            if part == 0:
                while low < high and flags[codes[low]] & SPACE:
                    low += 1
                while high > low and flags[codes[high - 1]] & SPACE:
                    high -= 1
            pieces = repeated = characters = 0
            begin = place = low
            while True:
                if place < high and codes[place] != NEW_LINE:
                    place += 1
                    continue
                end = place
                while place < high and codes[place] == NEW_LINE:
                    place += 1
                if place < high and place - end < 2 - part:
                    continue
                pieces += 1
                if not _fresh(_hash(codes, begin, end), keys, used, 2 * document + part, mask):
                    repeated += 1
                    characters += end - begin
                begin = place
                if place == high:
                    if end < place:  # line feeds at the end: an empty piece behind them
                        pieces += 1
                        if not _fresh(_hash(codes, place, place), keys, used, 2 * document + part, mask):
                            repeated += 1
                    break
            out[document, 3 * part], out[document, 3 * part + 1] = pieces, repeated
            out[document, 3 * part + 2] = characters


@compiled
def symbols(codes, starts, flags, out):  # type: ignore[no-untyped-def]
    """out[i]: number signs, ellipses (… or three dots), lines, lines that begin with a bullet, that end so."""
    for document in range(len(starts) - 1):
        high = starts[document + 1]
        hashes = ellipses = lines = bullets = trailing = dots = 0
        first = last = NONE
        begin, place, run = starts[document], starts[document], 0
        while place < high:
            code = codes[place]
            if code == DOT:
                dots += 1
                ellipses += dots % 3 == 0
            else:
                dots = 0
                hashes += code == 0x23
                ellipses += code == ELLIPSIS
            flag = flags[code]
            if flag & LINE_BREAK:
                lines += 1
                bullets += first in (BULLET, MINUS)
                trailing += last == ELLIPSIS or run >= 3
                if code == RETURN and place + 1 < high and codes[place + 1] == NEW_LINE:
                    place += 1
                first = last = NONE
                run, begin = 0, place + 1
            elif not flag & SPACE:
                if first == NONE:
                    first = code
                run = run + 1 if code == DOT and codes[place - 1] == DOT and run and place > begin else code == DOT
                last = code
            place += 1
        if begin < high:
            lines += 1
            bullets += first in (BULLET, MINUS)
            trailing += last == ELLIPSIS or run >= 3
        out[document, 0], out[document, 1], out[document, 2] = hashes, ellipses, lines
        out[document, 3], out[document, 4] = bullets, trailing


@compiled
def fineweb(codes, starts, flags, stops, short, out):  # type: ignore[no-untyped-def]
    """out[i]: lines that are not blank, those that end in one of ``stops`` (sorted), those of at most ``short``
    characters, characters of repeated ones, line feeds."""
    size = _table(codes, starts)
    mask = np.uint64(size - 1)
    keys, used = np.empty(size, dtype=np.uint64), np.full(size, -1, dtype=np.int64)
    for document in range(len(starts) - 1):
        begin, high = starts[document], starts[document + 1]
        lines = ended = brief = characters = feeds = 0
        blank = True
        for place in range(begin, high + 1):
            if place < high and codes[place] != NEW_LINE:
                if blank and not flags[codes[place]] & SPACE:
                    blank = False
                continue
            feeds += place < high
            if not blank:
                lines += 1
                last = codes[place - 1]
                at = np.searchsorted(stops, last)
                ended += at < len(stops) and stops[at] == last
                brief += place - begin <= short
                if not _fresh(_hash(codes, begin, place), keys, used, document, mask):
                    characters += place - begin
            begin, blank = place + 1, True
        out[document, 0], out[document, 1], out[document, 2] = lines, ended, brief
        out[document, 3], out[document, 4] = characters, feeds
