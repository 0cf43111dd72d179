"""The kernel's numbers from numpy alone: for inputs that are done before numba is imported, and to test it against."""

import numpy as np
from numpy.typing import NDArray

from tasks.corpus.neardup.characters import ALONE, HAN_END, MARK, PLANES, character_table
from tasks.corpus.neardup.hashing import CHARACTER, WORD, finish

Hashes = NDArray[np.uint64]
Offsets = NDArray[np.int64]
MASK = np.uint32(0x1FFFFF)
WHITE = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype=np.uint32)


def band_keys(
    data: NDArray[np.uint8],
    offsets: Offsets,
    size: int,
    factors: NDArray[np.uint32],
    keys: Hashes,
    counts: NDArray[np.int64],
) -> None:
    """Fill keys [bands, documents] and counts [documents], the number of shingles with repeats."""
    shingles, ends = _shingles(*words(data, offsets), size)
    starts = np.concatenate(([0], ends[:-1]))
    counts[:] = ends - starts
    full = np.flatnonzero(counts)
    least = np.full((len(factors), len(counts)), 0xFFFFFFFF, dtype=np.uint32)
    high = (shingles >> np.uint64(32)).astype(np.uint32)
    hashed, begins = np.empty_like(high), starts[full]
    for which, factor in enumerate(factors if len(full) else ()):
        np.multiply(high, factor, out=hashed)
        least[which, full] = np.minimum.reduceat(hashed, begins)
    rows = len(factors) // len(keys)
    for band in range(len(keys)):
        mixed = np.zeros(len(counts), dtype=np.uint64)
        for row in range(rows):
            mixed = mixed * np.uint64(WORD) + least[band * rows + row]
        keys[band] = finish(mixed)


def shingle_hashes(data: NDArray[np.uint8], offsets: Offsets, size: int, flat: NDArray[np.uint32]) -> None:
    """Fill ``flat`` with the upper halves of the shingles' hashes, in order, with repeats."""
    flat[:] = _shingles(*words(data, offsets), size)[0] >> np.uint64(32)


def find_runs(
    data: NDArray[np.uint8],
    offsets: Offsets,
    sizes: Offsets,
    bits: NDArray[np.uint8],
    buckets: Offsets,
    keys: Hashes,
    found: Offsets,
) -> int:
    """As the kernel's; a search of the sorted keys needs no buckets."""
    del buckets
    hashed, ends = words(data, offsets)
    document = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    starts = np.concatenate(([0], ends[:-1]))
    first = run_keys(hashed, int(sizes[0]))
    likely = np.arange(len(first))
    for shift in (0, 32):
        bit = first[likely] >> np.uint64(shift) & np.uint64(8 * len(bits) - 1)
        place = (bit >> np.uint64(3)).astype(np.int64)
        likely = likely[(bits[place] >> (bit & np.uint64(7)).astype(np.uint8) & 1).astype(bool)]
    hits = []
    for size in sizes.tolist():
        place = likely[likely <= len(hashed) - size]
        place = place[document[place] == document[place + size - 1]]
        own = hashed[place]
        for offset in range(1, size):
            own = own * np.uint64(WORD) + hashed[place + offset]
        own = finish(own + np.uint64(size))
        entry = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
        known = keys[entry] == own
        place, entry = place[known], entry[known]
        hits.append(np.stack((document[place], place - starts[document[place]], entry)))
    joined = np.concatenate(hits, axis=1)
    joined = joined[:, np.lexsort((joined[2], joined[1], joined[0]))]
    kept = min(joined.shape[1], found.shape[1])
    found[:, :kept] = joined[:, :kept]
    return int(joined.shape[1])


def run_keys(hashed: Hashes, size: int) -> Hashes:
    """Key of each run of ``size`` words, given the words' hashes; runs of different sizes have different keys."""
    count = max(0, len(hashed) - size + 1)
    mixed = hashed[:count].copy()
    for offset in range(1, size):
        mixed = mixed * np.uint64(WORD) + hashed[offset : offset + count]
    return finish(mixed + np.uint64(size))


def similarity(
    flat: NDArray[np.uint32],
    starts: Offsets,
    sizes: NDArray[np.int64],
    limits: NDArray[np.uint32],
    left: Offsets,
    right: Offsets,
    out: NDArray[np.float64],
) -> None:
    """out[i]: Jaccard similarity of the sorted sets left[i] and right[i], as far as both of them are known."""
    for pair, (a, b) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        limit = min(limits[a], limits[b])
        joined = np.concatenate((flat[starts[a] : starts[a] + sizes[a]], flat[starts[b] : starts[b] + sizes[b]]))
        joined.sort()
        joined = joined[: np.searchsorted(joined, limit, side="right")]
        both = int(np.count_nonzero(joined[1:] == joined[:-1]))
        out[pair] = both / (len(joined) - both) if len(joined) else 0.0


def words(data: NDArray[np.uint8], offsets: Offsets) -> tuple[Hashes, Offsets]:
    """Hash of each word of all documents, and where each document's words end."""
    codes, ends = _characters(data, offsets)
    entries = _entries(codes)
    first = np.zeros(len(codes) + 1, dtype=bool)  # of a document
    first[0] = True
    first[ends] = True
    starts, inside, lengths = _layout(entries, first)
    values = (entries[inside] & MASK).astype(np.uint64)
    last = np.cumsum(lengths)
    powers = _powers(int(lengths.max(initial=1)))
    values *= powers[np.repeat(last, lengths) - 1 - np.arange(len(inside))]
    hashed = np.add.reduceat(values, last - lengths) if len(starts) else values
    return finish(hashed), np.searchsorted(starts, ends)


def word_chunks(data: NDArray[np.uint8], offsets: Offsets) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each word of all documents: whether a chunk begins with it, and whether it is a character by itself.

    A chunk is what people take for a word: one such character, or words that no white space parts (it's, 0.30).
    """
    codes, ends = _characters(data, offsets)
    first = np.zeros(len(codes) + 1, dtype=bool)
    first[0] = True
    first[ends] = True
    entries = _entries(codes)
    starts, _, _ = _layout(entries, first)
    single = entries[starts] >= ALONE
    before = np.cumsum(np.isin(codes, WHITE) | first[:-1])[starts]
    begins = (np.diff(before, prepend=0) > 0) | single
    begins[1:] |= single[:-1]
    return begins, single


def word_places(text: str) -> tuple[Offsets, Offsets]:
    """First character of each word of a text, and the one after its last."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    first = np.zeros(len(codes) + 1, dtype=bool)
    first[0] = True
    starts, inside, lengths = _layout(_entries(codes), first)
    return starts, inside[np.cumsum(lengths) - 1] + 1


def _layout(entries: NDArray[np.uint32], first: NDArray[np.bool_]) -> tuple[Offsets, Offsets, NDArray[np.int64]]:
    """Where words begin, the characters that belong to words, and how many each word has.

    first: [characters + 1], whether a document begins there.
    """
    alone = entries >= ALONE
    member = (entries != 0) & ~alone
    if (member & (entries >= MARK)).any():
        member &= ~_leading(entries, member, first[:-1])
    begins = member.copy()
    begins[1:] &= ~member[:-1] | first[1:-1]
    begins |= alone
    starts = np.flatnonzero(begins)
    inside = np.flatnonzero(member | alone)
    word = np.cumsum(begins)[inside] - 1
    return starts, inside, np.bincount(word, minlength=len(starts))


def _characters(data: NDArray[np.uint8], offsets: Offsets) -> tuple[NDArray[np.uint32], Offsets]:
    """Code points of data[offsets[0]:offsets[-1]], and where each document's end."""
    data = data[offsets[0] : offsets[-1]]
    ends = offsets[1:] - offsets[0]
    if not len(data) or data.max() < 0x80:
        return data.astype(np.uint32), ends
    leading = np.concatenate(([0], np.cumsum((data & 0xC0) != 0x80)))
    codes = np.frombuffer(data.tobytes().decode("utf-8").encode("utf-32-le"), dtype=np.uint32)
    return codes, leading[ends]


def _entries(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Table entries, with the planes that the table leaves out."""
    table = character_table(codes)
    if not len(codes) or codes.max() < PLANES:
        entries: NDArray[np.uint32] = table[codes]
        return entries
    entries = table[np.minimum(codes, PLANES - 1)]
    entries[codes >= PLANES] = 0
    han = (codes >= PLANES) & (codes < HAN_END)
    entries[han] = codes[han] | ALONE
    return entries


def _leading(entries: NDArray[np.uint32], member: NDArray[np.bool_], first: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Marks that no letter of their run stands before."""
    letter = np.cumsum(member & (entries < MARK))
    begins = member.copy()
    begins[1:] &= ~member[:-1] | first[1:]
    starts = np.flatnonzero(begins)
    before: NDArray[np.int64] = letter[starts] - (entries[starts] < MARK)  # letters before the run
    run = np.cumsum(begins) - 1
    return member & (letter == before[np.maximum(run, 0)])


def _shingles(words: Hashes, ends: Offsets, size: int) -> tuple[Hashes, Offsets]:
    """Hash of each run of ``size`` words, of all words in a shorter document; and where each document's end."""
    starts = np.concatenate(([0], ends[:-1]))
    counts = ends - starts
    width = np.minimum(counts, size)
    made = np.where(counts > 0, counts - width + 1, 0)
    last = np.cumsum(made)
    shingles = np.empty(int(last[-1]) if len(last) else 0, dtype=np.uint64)
    document = np.repeat(np.arange(len(ends)), made)
    place = np.arange(len(shingles)) - np.repeat(last - made, made) + starts[document]
    for length in np.flatnonzero(np.bincount(width[counts > 0], minlength=1)).tolist():
        chosen = width[document] == length
        at = place[chosen]
        mixed = words[at]
        for offset in range(1, length):
            mixed = mixed * np.uint64(WORD) + words[at + offset]
        shingles[chosen] = finish(mixed)
    return shingles, last


def _powers(count: int) -> Hashes:
    powers = np.full(count, CHARACTER, dtype=np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)
