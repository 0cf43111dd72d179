"""N-grams of evaluation items, and the table in which runs of a document's words are looked up."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.schema.contamination import ContaminationConfig
from tasks.corpus.contamination.items import Item
from tasks.corpus.neardup import portable
from tasks.corpus.neardup.texts import buffers, from_strings
from tasks.corpus.words import HAS_UNSPACED

Int64 = NDArray[np.int64]
BITS_PER_KEY = 16  # of the Bloom filter: about 1 in 16 of other runs passes it


@dataclass(frozen=True, slots=True)
class Passages:
    """Texts that n-grams are taken from; of each its item's number, and words an n-gram, 0 for none of its own."""

    texts: list[str]
    items: Int64
    sizes: Int64
    hashes: NDArray[np.uint64]
    ends: Int64


def passages_of(items: Sequence[Item], first: int, config: ContaminationConfig, ngram: int | None) -> Passages:
    """Each field by itself, and all fields of an item as one text, which documents often hold them as.

    A passage shorter than an n-gram is searched for as a whole when it is the item's first field or all of it and
    long enough: a short choice or answer alone says little. Where most words are single characters (Chinese), the
    sizes for these count. first: number of items[0]. ngram: the set's own size of n-grams.
    """
    texts: list[str] = []
    owners: list[int] = []
    whole: list[bool] = []
    for number, item in enumerate(items, start=first):
        own, layouts = item.texts(), item.layouts()
        texts += own + layouts
        owners += [number] * (len(own) + len(layouts))
        whole += [item.first, *[False] * (len(own) - 1), *[True] * len(layouts)]
    hashes, ends = portable.words(*buffers(from_strings(texts)))
    counts = np.diff(ends, prepend=0)
    single = np.array([len(HAS_UNSPACED.findall(text)) for text in texts], dtype=np.int64)
    unspaced = 2 * single > counts
    size = np.where(unspaced, ngram or config.ngram_characters, ngram or config.ngram)
    least = np.where(unspaced, config.shortest_characters, config.shortest)
    sizes = np.where(counts >= size, size, np.where(np.array(whole) & (counts >= least), counts, 0))
    return Passages(texts, np.array(owners, dtype=np.int64), sizes, hashes, ends.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Grams:
    """Pairs of an n-gram and an item that has it, each pair once, by key and item.

    passage, word: where the n-gram stands. size: its words.
    """

    keys: NDArray[np.uint64]
    items: Int64
    passages: Int64
    words: Int64
    sizes: Int64

    def where(self, chosen: NDArray[Any]) -> "Grams":
        """The pairs that a mask or positions choose."""
        return Grams(*(getattr(self, field.name)[chosen] for field in fields(self)))


def grams_of(passages: Passages, first: int) -> Grams:
    """All n-grams of the passages. first: number of the first passage."""
    starts = np.concatenate(([0], passages.ends[:-1]))
    counts = np.diff(passages.ends, prepend=0)
    made = np.where(passages.sizes > 0, counts - passages.sizes + 1, 0)
    passage = np.repeat(np.arange(len(made)), made)
    word = np.arange(len(passage)) - np.repeat(np.cumsum(made) - made, made)
    sizes = passages.sizes[passage]
    keys = np.empty(len(passage), dtype=np.uint64)
    for size in np.unique(sizes).tolist():
        chosen = sizes == size
        keys[chosen] = portable.run_keys(passages.hashes, size)[(starts[passage] + word)[chosen]]
    grams = Grams(keys, passages.items[passage], passage + first, word, sizes)
    order = np.lexsort((grams.items, grams.keys))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = np.any(np.diff(np.stack((grams.keys[order], grams.items[order].astype(np.uint64)))) != 0, axis=0)
    return grams.where(order[fresh])


def without_common(grams: Grams, most: int) -> tuple[Grams, int]:
    """The pairs of n-grams that at most this many items share, and how many n-grams that leaves out."""
    _, which, counts = np.unique(grams.keys, return_inverse=True, return_counts=True)
    return grams.where(counts[which] <= most), int(np.count_nonzero(counts > most))


@dataclass(frozen=True, slots=True)
class Table:
    """Known n-grams, k of them, by ascending key; see `kernel.find_runs` for sizes, bits and buckets.

    lengths, passages, words: [k] words of each, and where it stands. starts: [k + 1] where the items that have
    it begin in ``items``.
    """

    keys: NDArray[np.uint64]
    lengths: Int64
    passages: Int64
    words: Int64
    starts: Int64
    items: Int64
    sizes: Int64
    bits: NDArray[np.uint8]
    buckets: Int64

    @classmethod
    def load(cls, folder: Path) -> "Table":
        """From files, mapped into memory: processes of one machine share them."""
        return cls(*(np.asarray(np.load(folder / f"{one.name}.npy", mmap_mode="r")) for one in fields(cls)))

    def save(self, folder: Path) -> None:
        """One file an array."""
        for one in fields(self):
            np.save(folder / f"{one.name}.npy", getattr(self, one.name))


def table_of(parts: list[Grams], anchors: list[NDArray[np.uint64]]) -> Table:
    """The table of all sets' n-grams; anchors: for each part, keys of the n-grams' first sizes[0] words."""
    joined = Grams(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Grams)))
    order = np.lexsort((joined.items, joined.keys))
    joined = joined.where(order)
    keys, begins = np.unique(joined.keys, return_index=True)
    width = max(1, int(len(keys) - 1).bit_length())
    ranges = np.arange(2**width, dtype=np.uint64) << np.uint64(64 - width)
    buckets = np.append(np.searchsorted(keys, ranges), len(keys)).astype(np.int64)
    bits = np.zeros(2 ** max(3, int(BITS_PER_KEY * len(keys) - 1).bit_length() - 3), dtype=np.uint8)
    low = np.unique(np.concatenate(anchors) & np.uint64(8 * len(bits) - 1))
    np.bitwise_or.at(
        bits, (low >> np.uint64(3)).astype(np.int64), np.left_shift(1, low & np.uint64(7)).astype(np.uint8)
    )
    table = Table(
        keys,
        joined.sizes[begins],
        joined.passages[begins],
        joined.words[begins],
        np.append(begins, len(joined.keys)).astype(np.int64),
        joined.items,
        np.unique(joined.sizes),
        bits,
        buckets,
    )
    for one in fields(Table):
        # Arrays of a file are read-only, which is another type to numba
        getattr(table, one.name).flags.writeable = False
    return table


def anchors_of(passages: Passages, grams: Grams, first: int, least: int) -> NDArray[np.uint64]:
    """Keys of the first ``least`` words of each n-gram. first: number of the first passage."""
    starts = np.concatenate(([0], passages.ends[:-1]))
    keys: NDArray[np.uint64] = portable.run_keys(passages.hashes, least)[starts[grams.passages - first] + grams.words]
    return keys
