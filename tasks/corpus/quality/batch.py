"""A batch of texts as code points, which all kernels of this package read."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.corpus.quality import decode
from tasks.corpus.quality.characters import BLOCK, SIZE, characters

Codes = NDArray[np.uint32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """codes[starts[i]:starts[i + 1]] are the characters of text i; a text that is not wanted has none."""

    codes: Codes
    starts: Int64

    def lengths(self) -> Int64:
        """Characters of each text."""
        return np.diff(self.starts)

    def only(self, wanted: NDArray[np.bool_]) -> "Batch":
        """The batch with the other texts empty."""
        lengths = self.lengths()
        if wanted[lengths > 0].all():
            return self
        starts = np.concatenate(([0], np.cumsum(np.where(wanted, lengths, 0))))
        return Batch(self.codes[np.repeat(wanted, lengths)], starts)


@dataclass(frozen=True, slots=True)
class Utf8:
    """The bytes of an Arrow array of texts, without a copy. None counts as empty."""

    data: NDArray[np.uint8]
    offsets: Int64

    @classmethod
    def of(cls, texts: pa.Array) -> "Utf8":
        """Takes any string type; large_string is not copied."""
        if not pa.types.is_large_string(texts.type):
            texts = texts.cast(pa.large_string())
        if texts.null_count:
            texts = texts.fill_null("")
        _, places, content = texts.buffers()
        if not len(texts) or content is None:
            return cls(_fixed(np.zeros(0, np.uint8)), _fixed(np.zeros(len(texts) + 1, np.int64)))
        offsets = np.frombuffer(places, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
        return cls(_fixed(np.frombuffer(content, dtype=np.uint8)), _fixed(offsets))

    def characters(self) -> Int64:
        """Characters of each text."""
        counts = np.zeros(len(self.offsets) - 1, dtype=np.int64)
        decode.count_characters(self.data, self.offsets, counts)
        return counts

    def decoded(self, counts: Int64, wanted: NDArray[np.bool_]) -> Batch:
        """Code points of the wanted texts; counts: of `characters`."""
        codes = np.empty(int(counts[wanted].sum()), dtype=np.uint32)
        starts = np.zeros(len(counts) + 1, dtype=np.int64)
        seen = np.zeros(SIZE // BLOCK, dtype=np.bool_)
        seen[0] = True
        decode.decode(self.data, self.offsets, wanted, codes, starts, seen)
        characters().learn(seen)
        return Batch(codes, starts)


def encoded(batch: Batch) -> pa.Array:
    """An Arrow array of the texts."""
    data = np.empty(4 * len(batch.codes), dtype=np.uint8)
    offsets = np.zeros(len(batch.starts), dtype=np.int64)
    decode.encode(batch.codes, batch.starts, data, offsets)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data[: offsets[-1]].tobytes())]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def _fixed(array: NDArray) -> NDArray:
    """Read-only: Arrow's buffers may be writable or not, which would be two types to numba."""
    array.flags.writeable = False
    return array
