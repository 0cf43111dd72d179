"""Compiled: UTF-8 to code points and back."""

import numpy as np

from tasks.corpus.quality.compiled import compiled


@compiled
def count_characters(data, offsets, counts):  # type: ignore[no-untyped-def]
    """counts[i]: characters of text i."""
    for document in range(len(counts)):
        count = 0
        for at in range(offsets[document], offsets[document + 1]):
            count += (data[at] & 0xC0) != 0x80
        counts[document] = count


@compiled
def decode(data, offsets, wanted, codes, starts, seen):  # type: ignore[no-untyped-def]
    """Fill codes with the characters of the wanted texts, starts with where each begins; mark seen blocks of 256."""
    written = 0
    for document in range(len(wanted)):
        starts[document] = written
        if not wanted[document]:
            continue
        at, end = offsets[document], offsets[document + 1]
        while at < end:
            byte = np.uint32(data[at])
            if byte < 0x80:
                code = byte
                at += 1
            elif byte < 0xE0:
                code = ((byte & np.uint32(0x1F)) << np.uint32(6)) | np.uint32(data[at + 1] & 0x3F)
                seen[code >> 8] = True
                at += 2
            elif byte < 0xF0:
                code = (byte & np.uint32(0x0F)) << np.uint32(12)
                code |= np.uint32(data[at + 1] & 0x3F) << np.uint32(6)
                code |= np.uint32(data[at + 2] & 0x3F)
                seen[code >> 8] = True
                at += 3
            else:
                code = (byte & np.uint32(0x07)) << np.uint32(18)
                code |= np.uint32(data[at + 1] & 0x3F) << np.uint32(12)
                code |= np.uint32(data[at + 2] & 0x3F) << np.uint32(6)
                code |= np.uint32(data[at + 3] & 0x3F)
                seen[code >> 8] = True
                at += 4
            codes[written] = np.uint32(code)
            written += 1
    starts[len(wanted)] = written


@compiled
def encode(codes, starts, data, offsets):  # type: ignore[no-untyped-def]
    """Fill data with UTF-8 and offsets; the opposite of `decode`."""
    at = 0
    for document in range(len(starts) - 1):
        offsets[document] = at
        for place in range(starts[document], starts[document + 1]):
            code = codes[place]
            if code < 0x80:
                data[at] = code
                at += 1
            elif code < 0x800:
                data[at] = 0xC0 | (code >> 6)
                data[at + 1] = 0x80 | (code & 0x3F)
                at += 2
            elif code < 0x10000:
                data[at] = 0xE0 | (code >> 12)
                data[at + 1] = 0x80 | ((code >> 6) & 0x3F)
                data[at + 2] = 0x80 | (code & 0x3F)
                at += 3
            else:
                data[at] = 0xF0 | (code >> 18)
                data[at + 1] = 0x80 | ((code >> 12) & 0x3F)
                data[at + 2] = 0x80 | ((code >> 6) & 0x3F)
                data[at + 3] = 0x80 | (code & 0x3F)
                at += 4
    offsets[len(starts) - 1] = at
