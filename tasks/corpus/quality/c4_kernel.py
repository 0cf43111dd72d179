"""Compiled: the line rules of C4 (Raffel et al. 2020, 2.2) in the order of datatrove's filter."""

import numpy as np

from tasks.corpus.quality.characters import DECIMAL, LINE_BREAK, SPACE, TERMINAL
from tasks.corpus.quality.compiled import compiled

NEW_LINE, RETURN, DOT, OPEN, CLOSE, CURLY = 0x0A, 0x0D, 0x2E, 0x5B, 0x5D, 0x7B
LOREM_IPSUM, CURLY_BRACKET = 1, 2  # verdicts
LOREM, SCRIPT, POLICY, POLICY_UNSPACED = 1, 2, 4, 8  # bits of what a line mentions; kinds of phrases


@compiled
def _lower(code):  # type: ignore[no-untyped-def]
    """Of str.lower, what makes an ASCII letter."""
    if np.uint32(0x41) <= code <= np.uint32(0x5A):
        return code + np.uint32(32)
    return np.uint32(0x6B) if code == 0x212A else code  # the Kelvin sign


@compiled
def _citation(codes, place, high, flags, citations, citation_ends):  # type: ignore[no-untyped-def]
    """Characters of [12], [], [edit] or [citation needed] at place."""
    end = place + 1
    while end < high and flags[codes[end]] & DECIMAL:
        end += 1
    if end < high and codes[end] == CLOSE:
        return end + 1 - place
    begin = 0
    for stop in citation_ends:
        if place + stop - begin <= high:
            same = True
            for offset in range(stop - begin):
                if codes[place + offset] != citations[begin + offset]:
                    same = False
                    break
            if same:
                return stop - begin
        begin = stop
    return 0


@compiled
def _mentions(codes, low, high, phrases, phrase_ends, phrase_kinds, first):  # type: ignore[no-untyped-def]
    """Bits of the kinds of phrases in codes[low:high]."""
    found = 0
    for place in range(low, high):
        code = _lower(codes[place])
        if code < 128 and not first[code]:
            continue
        begin = 0
        for which in range(len(phrase_ends)):
            stop = phrase_ends[which]
            if code == phrases[begin] and place + stop - begin <= high:
                same = True
                for offset in range(1, stop - begin):
                    if _lower(codes[place + offset]) != phrases[begin + offset]:
                        same = False
                        break
                if same:
                    found |= phrase_kinds[which]
            begin = stop
    return found


@compiled
def _without_citations(codes, low, high, flags, citations, citation_ends, kept, to):  # type: ignore[no-untyped-def]
    """Copy codes[low:high] to kept[to:] but for citations; returns where it ends there."""
    while low < high:
        length = _citation(codes, low, high, flags, citations, citation_ends) if codes[low] == OPEN else 0
        if length == 0:
            kept[to] = codes[low]
            to, length = to + 1, 1
        low += length
    return to


@compiled
def _ends_well(kept, low, high, stops):  # type: ignore[no-untyped-def]
    """Whether kept[low:high] ends in one of the stops (sorted), and not in three dots."""
    if high == low:
        return False
    found = np.searchsorted(stops, kept[high - 1])
    if found == len(stops) or stops[found] != kept[high - 1]:
        return False
    dots = high - low >= 3 and kept[high - 1] == DOT and kept[high - 2] == DOT and kept[high - 3] == DOT
    return not dots


@compiled
def _words(codes, low, high, flags):  # type: ignore[no-untyped-def]
    """Words between white space, and characters of the longest."""
    words = run = most = 0
    for at in range(low, high):
        if flags[codes[at]] & SPACE:
            run = 0
        else:
            words += run == 0
            run += 1
            most = max(most, run)
    return words, most


@compiled
def _stripped(codes, low, high, flags):  # type: ignore[no-untyped-def]
    while low < high and flags[codes[low]] & SPACE:
        low += 1
    while high > low and flags[codes[high - 1]] & SPACE:
        high -= 1
    return low, high


@compiled
def clean_lines(  # type: ignore[no-untyped-def]
    codes, starts, flags, wanted, unspaced, rules, ends, ends_unspaced, phrases, phrase_ends, phrase_kinds,
    citations, citation_ends, kept, line_starts, bounds, verdicts
):  # fmt: skip
    """Write the lines that stay into kept, where they begin into line_starts, and bounds of each text's lines in them.

    rules: longest word, fewest words a line, fewest characters a line of an unspaced text (-1 each: not asked), and
    whether (1) or not (0) to remove citations, to ask for end punctuation, to look for lorem ipsum, javascript, curly
    brackets, policies. Returns how many lines there are.
    """
    first = np.zeros(128, dtype=np.bool_)
    begin = 0
    for stop in phrase_ends:
        if phrases[begin] < 128:
            first[phrases[begin]] = True
        begin = stop
    longest, fewest, fewest_unspaced = rules[0], rules[1], rules[2]
    line = written = 0
    for document in range(len(starts) - 1):
        bounds[document], verdicts[document], origin = line, 0, written
        place, end_of_text = starts[document], starts[document + 1] if wanted[document] else starts[document]
        stops = ends_unspaced if unspaced[document] else ends
        while place < end_of_text:
            low = place
            while place < end_of_text and not flags[codes[place]] & LINE_BREAK:
                place += 1
            high = place
            place += 1
            if high < end_of_text - 1 and codes[high] == RETURN and codes[high + 1] == NEW_LINE:
                place += 1
            low, high = _stripped(codes, low, high, flags)
            words, most = _words(codes, low, high, flags)
            if longest != -1 and most > longest and not unspaced[document]:
                continue
            if rules[3]:
                to = _without_citations(codes, low, high, flags, citations, citation_ends, kept, written)
            else:
                to = written + high - low
                kept[written:to] = codes[low:high]
            if rules[4] and not _ends_well(kept, written, to, stops):
                continue
            if (high - low < fewest_unspaced) if unspaced[document] else (words < fewest):
                continue
            mentions = _mentions(kept, written, to, phrases, phrase_ends, phrase_kinds, first)
            if rules[5] and mentions & LOREM:
                verdicts[document] = LOREM_IPSUM
                break
            if rules[6] and mentions & SCRIPT:
                continue
            if rules[7] and (kept[written:to] == CURLY).any():
                verdicts[document] = CURLY_BRACKET
                break
            if rules[8] and (mentions & POLICY or (unspaced[document] and mentions & POLICY_UNSPACED)):
                continue
            line_starts[line] = written
            line += 1
            written = to
        if verdicts[document]:
            line, written = bounds[document], origin
    bounds[len(starts) - 1] = line
    line_starts[line] = written
    return line


@compiled
def unspaced_sentences(codes, starts, flags, counts):  # type: ignore[no-untyped-def]
    """counts[i]: runs of end punctuation, and what follows the last one."""
    for line in range(len(counts)):
        count, ended, trailing = 0, False, False
        for place in range(starts[line], starts[line + 1]):
            if flags[codes[place]] & TERMINAL:
                count += not ended
                ended, trailing = True, False
            else:
                ended, trailing = False, True
        counts[line] = count + trailing


@compiled
def join_lines(kept, line_starts, bounds, flags, codes, starts):  # type: ignore[no-untyped-def]
    """Fill codes with each text's lines, a line feed between them, stripped; returns the number of characters."""
    written = 0
    for document in range(len(bounds) - 1):
        starts[document] = written
        for line in range(bounds[document], bounds[document + 1]):
            if line > bounds[document]:
                codes[written] = NEW_LINE
                written += 1
            for place in range(line_starts[line], line_starts[line + 1]):
                codes[written] = kept[place]
                written += 1
        low = starts[document]
        low, written = _stripped(codes, low, written, flags)
        if low > starts[document]:
            for place in range(written - low):
                codes[starts[document] + place] = codes[low + place]
            written -= low - starts[document]
    starts[len(bounds) - 1] = written
    return written
