"""Compiled: words and sentences as spaCy's blank English pipeline splits them, without its regular expressions.

The order of spaCy's steps is kept (tokenizer.pyx, `_split_affixes`, `_attach_tokens`, `_apply_special_cases`): special
cases, prefixes and suffixes of a run of characters without white space, then a URL, then infixes; then special cases
that stand among the split tokens. What the character classes hold comes from english_rules.json.
"""

import numpy as np

from tasks.corpus.quality import characters as has
from tasks.corpus.quality.compiled import compiled
from tasks.corpus.quality.english import CHARACTER, HAS_LETTER, LONGEST, LONGEST_UNIT, MIX, NOT_SYMBOL

DOT, ELLIPSIS, PLUS, DOLLAR, COMMA, DEGREE = 0x2E, 0x2026, 0x2B, 0x24, 0x2C, 0xB0
MINUS, EN_DASH, EM_DASH, TILDE = 0x2D, 0x2013, 0x2014, 0x7E
STAR, CARET, COLON, SLASH, LESS, EQUALS, MORE, AT = 0x2A, 0x5E, 0x3A, 0x2F, 0x3C, 0x3D, 0x3E, 0x40
QUESTION, HASH, UNDERSCORE, APOSTROPHE, RIGHT_QUOTE = 0x3F, 0x23, 0x5F, 0x27, 0x2019
RULES = (
    has.PREFIX | has.SUFFIX | has.INFIX | has.SENTENCE_END | has.PUNCTUATION | has.SYMBOL
)  # what a run of mere letters has none of


@compiled
def _lookup(codes, low, high, keys):  # type: ignore[no-untyped-def]
    """Slot of codes[low:high] in a table of open addressing, or -1."""
    if not low < high <= low + LONGEST:
        return -1
    hashed, power = np.uint64(0), np.uint64(1)
    for place in range(low, high):
        hashed += np.uint64(codes[place] + np.uint32(1)) * power
        power *= np.uint64(CHARACTER)
    return _slot(hashed, keys)


@compiled
def _slot(hashed, keys):  # type: ignore[no-untyped-def]
    mask = len(keys) - 1
    slot = np.int64((hashed * np.uint64(MIX)) >> np.uint64(40)) & mask
    while keys[slot] != 0:
        if keys[slot] == hashed:
            return slot
        slot = (slot + 1) & mask
    return -1


@compiled
def _dots(codes, low, high):  # type: ignore[no-untyped-def]
    """Dots from low on."""
    place = low
    while place < high and codes[place] == DOT:
        place += 1
    return place - low


@compiled
def _prefix(codes, low, high, flags):  # type: ignore[no-untyped-def]
    """Characters that split off at the beginning."""
    code = codes[low]
    if flags[code] & has.PREFIX:
        return 1
    if code == DOT:
        run = _dots(codes, low, high)
        return run if run >= 2 else 0
    if code == PLUS:
        return 0 if low + 1 < high and flags[codes[low + 1]] & has.DIGIT else 1
    if code in (0x41, 0x43) and low + 1 < high and codes[low + 1] == DOLLAR:  # A$, C$
        return 2
    if code == 0x55 and low + 2 < high and codes[low + 1] == 0x53 and codes[low + 2] == DOLLAR:  # US$
        return 3
    return 0


@compiled
def _suffix(codes, low, high, flags, units):  # type: ignore[no-untyped-def]
    """Characters that split off at the end: of all rules that fit, the one that begins first."""
    if high <= low:
        return 0
    code, before = codes[high - 1], high - 2
    longest = 1 if flags[code] & has.SUFFIX else 0
    if before < low:
        return longest
    previous = codes[before]
    if code == DOT:
        if previous == DOT:
            run = 2
            while high - 1 - run >= low and codes[high - 1 - run] == DOT:
                run += 1
            return run
        if flags[previous] & has.BEFORE_DOT:
            longest = 1
        elif before > low:
            third = codes[before - 1]
            initials = flags[previous] & has.UPPER and flags[third] & has.UPPER
            if initials or (third == DEGREE and previous in (0x46, 0x66, 0x43, 0x63, 0x4B, 0x6B)):
                longest = 1
    elif code == ELLIPSIS:
        if previous == ELLIPSIS:
            longest = 2
    elif code in (0x73, 0x53):
        if previous in (APOSTROPHE, RIGHT_QUOTE):
            longest = 2
    elif code == PLUS and flags[previous] & has.DIGIT:
        longest = 1
    # A unit or currency after a digit
    place = high - 1
    while place >= low and high - 1 - place <= LONGEST_UNIT:
        if flags[codes[place]] & has.DIGIT:
            length = high - 1 - place
            if length > longest and _lookup(codes, place + 1, high, units) >= 0:
                longest = length
            break
        place -= 1
    return longest


@compiled
def _infix(codes, place, low, high, flags):  # type: ignore[no-untyped-def]
    """Characters of a rule that fits inside, at place."""
    code = codes[place]
    if code == DOT:
        run = _dots(codes, place, high)
        if run >= 2:
            return run
        if place > low and place + 1 < high and flags[codes[place - 1]] & (has.LOWER | has.QUOTE):
            return 1 if flags[codes[place + 1]] & (has.UPPER | has.QUOTE) else 0
        return 0
    if flags[code] & has.INFIX:
        return 1
    if place == low or place + 1 >= high:
        return 0
    before, after = flags[codes[place - 1]], codes[place + 1]
    if code in (PLUS, MINUS, STAR, CARET) and before & has.DIGIT and (flags[after] & has.DIGIT or after == MINUS):
        return 1
    if code == COMMA:
        return 1 if before & has.ALPHA and flags[after] & has.ALPHA else 0
    if not before & (has.ALPHA | has.DIGIT):
        return 0
    if code in (COLON, LESS, MORE, EQUALS, SLASH):
        return 1 if flags[after] & has.ALPHA else 0
    if code in (MINUS, EN_DASH, EM_DASH, TILDE):
        if flags[after] & has.ALPHA:
            return 1
        if after == code and place + 2 < high and code in (MINUS, EM_DASH):
            if flags[codes[place + 2]] & has.ALPHA:
                return 2
            if code == MINUS and codes[place + 2] == MINUS and place + 3 < high:
                return 3 if flags[codes[place + 3]] & has.ALPHA else 0
    return 0


@compiled
def _host_to_end(codes, start, high, flags):  # type: ignore[no-untyped-def]
    """Whether a host name, and perhaps a port and a path, fill codes[start:high]."""
    label = place = start
    labels = 0
    while place < high:
        code = codes[place]
        if code == DOT:
            if place == label or place - label > 64 or not flags[codes[label]] & has.HOST:
                return False
            if not flags[codes[place - 1]] & has.HOST:
                return False
            labels += 1
            label = place + 1
        elif not (flags[code] & has.HOST or code in (MINUS, UNDERSCORE)):
            break
        place += 1
    if labels == 0 or place - label < 2 or place - label > 63:
        return False
    for letter in range(label, place):
        if not flags[codes[letter]] & has.LOWER:
            return False
    if place < high and codes[place] == COLON:
        digits = place + 1
        while digits < high and flags[codes[digits]] & has.DIGIT:
            digits += 1
        if not 2 <= digits - place - 1 <= 5:
            return False
        place = digits
    return place == high or codes[place] in (SLASH, QUESTION, HASH)


@compiled
def _is_url(codes, low, high, flags):  # type: ignore[no-untyped-def]
    """spaCy's URL pattern, but for bare IPv4 addresses."""
    if _host_to_end(codes, low, high, flags):
        return True
    scheme = low
    while scheme < high and (
        flags[codes[scheme]] & (has.LETTER | has.DIGIT) or codes[scheme] in (PLUS, MINUS, DOT, UNDERSCORE)
    ):
        scheme += 1
    found = False
    if scheme - low >= 2 and scheme + 3 < high and codes[scheme] == COLON:
        found = codes[scheme + 1] == codes[scheme + 2] == SLASH and _host_to_end(codes, scheme + 3, high, flags)
    for place in range(low + 1, high - 1):
        found |= codes[place] == AT and _host_to_end(codes, place + 1, high, flags)
    return found


@compiled
def _cut_middle(codes, low, high, flags, cuts, count):  # type: ignore[no-untyped-def]
    """Append the ends of the tokens of what is left between prefixes and suffixes."""
    start, place, first = low, low, count
    while place < high:
        code = codes[place]
        plain = flags[code] & (has.LETTER | has.DIGIT) and not flags[code] & has.INFIX
        length = 0 if plain else _infix(codes, place, low, high, flags)
        if length == 0:
            place += 1
            continue
        if place > low:
            if place != start:
                cuts[count] = place
                count += 1
            cuts[count] = place + length
            count += 1
            start = place + length
        place += length
    if start < high:
        cuts[count] = high
        count += 1
    if count > first + 1 and _is_url(codes, low, high, flags):
        cuts[first] = high
        return first + 1
    return count


@compiled
def _cut_special(pieces, low, cuts, count):  # type: ignore[no-untyped-def]
    """Append the ends of a special case's words."""
    for length in pieces:
        if length:
            low += length
            cuts[count] = low
            count += 1
    return count


@compiled
def _cut(codes, low, high, flags, keys, pieces, units, cuts, ends):  # type: ignore[no-untyped-def]
    """Fill cuts with the ends of the tokens of a run without white space; returns how many."""
    count = suffixes = 0
    size, slot = 0, -1
    while low < high and high - low != size:
        slot = _lookup(codes, low, high, keys)
        if slot >= 0:
            break
        size = high - low
        before = _prefix(codes, low, high, flags)
        if before and _lookup(codes, low + before, high, keys) >= 0:
            low += before
            cuts[count] = low
            count += 1
            continue
        after = _suffix(codes, low + before, high, flags, units)
        if after and _lookup(codes, low, high - after, keys) >= 0:
            ends[suffixes] = high
            suffixes += 1
            high -= after
            continue
        if before:
            low += before
            cuts[count] = low
            count += 1
        if after:
            ends[suffixes] = high
            suffixes += 1
            high -= after
    if low < high:
        slot = _lookup(codes, low, high, keys)
        if slot >= 0:
            count = _cut_special(pieces[slot], low, cuts, count)
        else:
            count = _cut_middle(codes, low, high, flags, cuts, count)
    while suffixes:
        suffixes -= 1
        cuts[count] = ends[suffixes]
        count += 1
    return count


@compiled
def _rejoin(codes, start, count, keys, pieces, splits, cuts, lengths, spare):  # type: ignore[no-untyped-def]
    """Special cases among the tokens of a run: the longest first, then from the left; returns how many tokens."""
    taken = found = 0  # bits: tokens of a special case, and where one begins
    for length in range(min(count, 8), 1, -1):
        for first in range(count - length + 1):
            low = start if first == 0 else cuts[first - 1]
            high = cuts[first + length - 1]
            if high - low > LONGEST:
                continue
            slot = _lookup(codes, low, high, keys)
            if slot < 0 or splits[slot] == 0:
                continue
            inner = 0
            for token in range(first, first + length):
                inner |= 1 << (cuts[token] - low)
            if inner != splits[slot]:
                continue
            if not (taken >> first) & 1 and not (taken >> (first + length - 1)) & 1:
                found |= 1 << first
                lengths[first] = length
            for token in range(first, first + length):
                taken |= 1 << token
    if found == 0:
        return count
    written = token = 0
    while token < count:
        low = start if token == 0 else cuts[token - 1]
        if (found >> token) & 1:
            slot = _lookup(codes, low, cuts[token + lengths[token] - 1], keys)
            written = _cut_special(pieces[slot], low, spare, written)
            token += lengths[token]
        else:
            spare[written] = cuts[token]
            written += 1
            token += 1
    cuts[:written] = spare[:written]
    return written


@compiled
def _word(codes, low, high, flags):  # type: ignore[no-untyped-def]
    """Hash of a word, the flags that all its characters have, and its kinds."""
    hashed, power = np.uint64(0), np.uint64(1)
    every, some = np.uint32(0xFFFFFFFF), np.uint32(0)
    for place in range(low, high):
        hashed += np.uint64(codes[place] + np.uint32(1)) * power
        power *= np.uint64(CHARACTER)
        every &= flags[codes[place]]
        some |= flags[codes[place]]
    kind = (0 if every & has.SYMBOL else NOT_SYMBOL) | (HAS_LETTER if some & has.LETTER else 0)
    return hashed, every, kind


@compiled
def _sentence(count, ended, ending, punctuation):  # type: ignore[no-untyped-def]
    """Sentences and whether the last has ended, after one more token (spaCy's sentencizer)."""
    if ending:
        return max(count, 1), True
    if count == 0 or (ended and not punctuation):
        return count + 1, False
    return count, ended


@compiled
def split_english(  # type: ignore[no-untyped-def]
    codes, starts, flags, keys, pieces, splits, units, cuts, ends, spare, words, lengths, kinds, bounds, sentences
):
    """Fill words (hashes of their characters), their lengths and kinds; bounds of each text in them; sentences.

    cuts, ends, spare: scratch as long as the longest text. A word's hash is the sum of (code + 1) * CHARACTER**place.
    """
    total = 0
    for document in range(len(starts) - 1):
        bounds[document] = total
        place, high, opened, count = starts[document], starts[document + 1], False, 0
        while place < high:
            begin = place
            if flags[codes[place]] & has.SPACE:
                while place < high and flags[codes[place]] & has.SPACE:
                    place += 1
                # The space that ends a run is no token to spaCy; further white space is one, and can begin a sentence
                token = place - begin - (codes[begin] == 0x20 and begin > starts[document])
                if token > 0:
                    count, opened = _sentence(count, opened, False, False)
                continue
            hashed, power = np.uint64(0), np.uint64(1)
            each, some = np.uint32(has.LETTER), np.uint32(0)
            while place < high:
                flag = flags[codes[place]]
                if flag & has.SPACE:
                    break
                each &= flag
                some |= flag
                hashed += np.uint64(codes[place] + np.uint32(1)) * power
                power *= np.uint64(CHARACTER)
                place += 1
            if each and not some & RULES and (place - begin > LONGEST or _slot(hashed, keys) < 0):
                # Letters alone, and no special case: one word
                words[total], lengths[total], kinds[total] = hashed, place - begin, NOT_SYMBOL | HAS_LETTER
                total += 1
                count, opened = _sentence(count, opened, False, False)
                continue
            tokens = _cut(codes, begin, place, flags, keys, pieces, units, cuts, ends)
            if 1 < tokens <= 60:
                tokens = _rejoin(codes, begin, tokens, keys, pieces, splits, cuts, ends, spare)
            low = begin
            for token in range(tokens):
                end = cuts[token]
                hashed, every, kind = _word(codes, low, end, flags)
                words[total], lengths[total], kinds[total] = hashed, end - low, kind
                total += 1
                ending = end - low == 1 and flags[codes[low]] & has.SENTENCE_END
                count, opened = _sentence(count, opened, ending, every & has.PUNCTUATION)
                low = end
        sentences[document] = count
    bounds[len(starts) - 1] = total
