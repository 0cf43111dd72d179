"""Arrow strings to numbers: band keys and shingle sets of batches of texts, by the compiled or the portable path."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.corpus.neardup import portable
from tasks.corpus.neardup.scheme import Scheme

COMPILED = "tasks.corpus.neardup.kernel"
# numba takes .6 CPU seconds to be ready, in which the portable path does this much
PORTABLE_BYTES = 8_000_000
PIECE = 1 << 17  # bytes of text a piece: its temporary arrays stay in the processor's cache

Int64 = NDArray[np.int64]
Job = TypeVar("Job")
Result = TypeVar("Result")
COMPLETE = np.uint32(0xFFFFFFFF)


def path_for(size: int) -> ModuleType:
    """The module that computes ``size`` bytes of text in the least time; without numba, the portable one."""
    if size > PORTABLE_BYTES or COMPILED in sys.modules:
        try:
            from tasks.corpus.neardup import kernel
        except ImportError:
            return portable
        return kernel
    return portable


@dataclass(frozen=True, slots=True)
class Signed:
    """keys: [bands, texts], equal in a band for candidates. counts: shingles with repeats, 0 without words."""

    keys: NDArray[np.uint64]
    counts: Int64


@dataclass(frozen=True, slots=True)
class Sets:
    """Sorted shingle hashes of each text, one after the other in ``flat``; sizes: how many each has.

    limits: the set is complete up to this hash, which is `COMPLETE` unless a stored sketch was cut.
    """

    flat: NDArray[np.uint32]
    sizes: Int64
    limits: NDArray[np.uint32]


def sign(texts: pa.Array, scheme: Scheme, path: ModuleType) -> Signed:
    """Band keys of texts."""
    keys = np.empty((scheme.bands, len(texts)), dtype=np.uint64)
    counts = np.empty(len(texts), dtype=np.int64)
    data, offsets = buffers(texts)
    factors = scheme.multipliers()
    for start, end in pieces(offsets, path):
        # A contiguous block of its own: the compiled function knows one layout
        part = np.empty((scheme.bands, end - start), dtype=np.uint64)
        part_counts = counts[start:end]
        path.band_keys(data, offsets[start : end + 1], scheme.shingle, factors, part, part_counts)
        keys[:, start:end] = part
    return Signed(keys, counts)


def sets_of(texts: pa.Array, counts: Int64, scheme: Scheme, path: ModuleType) -> Sets:
    """Shingle sets of texts; counts: of `Signed`."""
    data, offsets = buffers(texts)
    ends = np.cumsum(counts)
    flat = np.empty(int(ends[-1]) if len(ends) else 0, dtype=np.uint32)
    for start, end in pieces(offsets, path):
        part = flat[ends[start] - counts[start] : ends[end - 1]]
        path.shingle_hashes(data, offsets[start : end + 1], scheme.shingle, part)
    bounds = [0, *ends.tolist()]
    for begin, end in pairwise(bounds):
        flat[begin:end].sort()
    fresh = np.ones(len(flat), dtype=bool)
    fresh[1:] = flat[1:] != flat[:-1]
    fresh[(ends - counts)[counts > 0]] = True
    kept = np.concatenate(([0], np.cumsum(fresh)))
    sizes = kept[ends] - kept[ends - counts]
    return Sets(flat[fresh], sizes, np.full(len(texts), COMPLETE))


def in_order(function: Callable[[Job], Result], jobs: Iterable[Job], threads: int) -> Iterator[Result]:
    """function(job) of each job, in order; a few jobs ahead in threads."""
    if threads == 1:
        yield from map(function, jobs)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for job in jobs:
            waiting.append(pool.submit(function, job))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def from_strings(texts: list[str]) -> pa.Array:
    """An Arrow array of Python strings. pyarrow's own way imports pandas, which takes longer than a small input."""
    return from_bytes([text.encode() for text in texts])


def gathered(texts: pa.Array, places: Int64) -> pa.Array:
    """The texts at these places. Arrow's `take` would import pyarrow.compute first."""
    data, offsets = buffers(texts)
    begins, ends = offsets[places].tolist(), offsets[places + 1].tolist()
    view = data.data
    return from_bytes([view[begin:end] for begin, end in zip(begins, ends, strict=True)])


def text_bytes(texts: pa.Array) -> int:
    """Bytes of UTF-8 that the texts hold."""
    _, offsets = buffers(texts)
    return int(offsets[-1] - offsets[0])


def from_bytes(texts: Sequence[bytes | memoryview]) -> pa.Array:
    """An Arrow array of UTF-8 texts."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(lengths)))
    parts = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.large_string(), len(texts), parts)


def buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], Int64]:
    """UTF-8 bytes and the offsets of the texts in them, without a copy for large_string. None counts as empty."""
    if not pa.types.is_large_string(texts.type):
        texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    _, places, content = texts.buffers()
    if not len(texts) or content is None:
        return np.zeros(0, dtype=np.uint8), np.zeros(len(texts) + 1, dtype=np.int64)
    offsets = np.frombuffer(places, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(content, dtype=np.uint8)
    # Arrow's buffers may be writable or not, which would be two types to numba
    data.flags.writeable = offsets.flags.writeable = False
    return data, offsets


def pieces(offsets: Int64, path: ModuleType) -> Iterator[tuple[int, int]]:
    """Ranges of texts of about `PIECE` bytes; a longer text is one by itself. The kernel takes all at once."""
    count, start = len(offsets) - 1, 0
    if path is not portable:
        if count:
            yield 0, count
        return
    while start < count:
        end = int(np.searchsorted(offsets, offsets[start] + PIECE, side="right")) - 1
        end = min(max(end, start + 1), count)
        yield start, end
        start = end
