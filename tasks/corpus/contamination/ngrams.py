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

Int64 = NDArray[np.int64]
BITS_PER_KEY = 16  # of the Bloom filter: about 1 in 70 of other runs passes it
LONGEST = 2  # words an n-gram may have, of formulas and addresses, for each word that it should have
NEVER = 1 << 40


@dataclass(frozen=True, slots=True)
class Passages:
    """Texts that n-grams are taken from.

    items: number of each one's item. sizes: chunks an n-gram. least: fewest chunks of a passage that is searched for
    as a whole, or words, `LONGEST` times as many. hashes: of the words of all. ends: where each one's words end.
    chunks: of each word, counted over all passages, see `portable.word_chunks`; in a passage of mostly single
    characters, each word is one.
    """

    texts: list[str]
    items: Int64
    sizes: Int64
    least: Int64
    hashes: NDArray[np.uint64]
    ends: Int64
    chunks: Int64


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
    data, offsets = buffers(from_strings(texts))
    hashes, ends = portable.words(data, offsets)
    counts = np.diff(ends, prepend=0)
    begins, single = portable.word_chunks(data, offsets)
    owner = np.repeat(np.arange(len(texts)), counts)
    unspaced = 2 * np.bincount(owner, weights=single, minlength=len(texts)) > counts
    least = np.where(unspaced, config.shortest_characters, config.shortest)
    return Passages(
        texts,
        np.array(owners, dtype=np.int64),
        np.where(unspaced, ngram or config.ngram_characters, ngram or config.ngram),
        np.where(np.array(whole), least, NEVER),
        hashes,
        ends.astype(np.int64),
        np.cumsum(begins | unspaced[owner]),
    )


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
    """All n-grams of the passages. first: number of the first passage.

    An n-gram ends with a chunk, or at `LONGEST` times as many words as it should have chunks.
    """
    ends, chunks = passages.ends, passages.chunks
    counts = np.diff(ends, prepend=0)
    passage = np.repeat(np.arange(len(ends)), counts)
    place, last, wanted = np.arange(len(passage)), ends[passage], passages.sizes[passage]
    last_chunk = chunks[np.maximum(last - 1, 0)]
    sizes = np.minimum(np.searchsorted(chunks, chunks + wanted) - place, LONGEST * wanted)
    fits = (place + sizes <= last) & ((last_chunk - chunks + 1 >= wanted) | (sizes == LONGEST * wanted))
    none = np.bincount(passage[fits], minlength=len(ends)) == 0
    begin = place == (ends - counts)[passage]
    least = passages.least[passage]
    whole = begin & none[passage] & ((last_chunk - chunks + 1 >= least) | (last - place >= LONGEST * least))
    sizes[whole] = counts[passage[whole]]
    chosen = np.flatnonzero(fits | whole)
    passage, sizes = passage[chosen], sizes[chosen]
    keys = np.empty(len(chosen), dtype=np.uint64)
    for size in np.flatnonzero(np.bincount(sizes)).tolist():
        own = sizes == size
        keys[own] = portable.run_keys(passages.hashes, size)[chosen[own]]
    grams = Grams(keys, passages.items[passage], passage + first, chosen - (ends - counts)[passage], sizes)
    order = np.lexsort((grams.items, grams.keys))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (np.diff(grams.keys[order]) != 0) | (np.diff(grams.items[order]) != 0)
    return grams.where(order[fresh])


def without_common(grams: Grams, most: int) -> tuple[Grams, int]:
    """The pairs of n-grams that at most this many items share, and how many n-grams that leaves out."""
    counts = np.diff(begins_of(grams.keys), append=len(grams.keys))
    return grams.where(np.repeat(counts, counts) <= most), int(np.count_nonzero(counts > most))


def begins_of(keys: NDArray[np.uint64]) -> Int64:
    """Where in sorted keys each different one begins; `np.unique` would sort or hash them again."""
    fresh = np.ones(len(keys), dtype=bool)
    fresh[1:] = keys[1:] != keys[:-1]
    return np.flatnonzero(fresh)


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
    begins = begins_of(joined.keys)
    keys = joined.keys[begins]
    width = max(1, int(len(keys) - 1).bit_length())
    ranges = np.arange(2**width, dtype=np.uint64) << np.uint64(64 - width)
    buckets = np.append(np.searchsorted(keys, ranges), len(keys)).astype(np.int64)
    bits = np.zeros(2 ** max(3, int(BITS_PER_KEY * len(keys) - 1).bit_length() - 3), dtype=np.uint8)
    anchor = np.concatenate(anchors)
    bit = np.concatenate((anchor, anchor >> np.uint64(32))) & np.uint64(8 * len(bits) - 1)
    value = np.uint8(1) << (bit & np.uint64(7)).astype(np.uint8)
    np.bitwise_or.at(bits, (bit >> np.uint64(3)).astype(np.int64), value)
    table = Table(
        keys,
        joined.sizes[begins],
        joined.passages[begins],
        joined.words[begins],
        np.append(begins, len(joined.keys)).astype(np.int64),
        joined.items,
        np.flatnonzero(np.bincount(joined.sizes)),
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
