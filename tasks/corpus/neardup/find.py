"""Near duplicates of texts that are read twice, batch by batch: once for band keys, once for candidates' shingles.

MinHash signatures (Broder 1997) in bands and rows (Leskovec et al., Mining of Massive Datasets, 3.4) name candidate
pairs; each is checked by the Jaccard similarity of its word shingles; connected documents form a cluster.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.corpus.neardup import portable
from tasks.corpus.neardup.cluster import Bands, Clusters, Int64, Search, find_candidates, key_bits
from tasks.corpus.neardup.scheme import Matching, Scheme, scheme_of
from tasks.corpus.neardup.spool import Spool
from tasks.corpus.neardup.stored import Stored
from tasks.corpus.neardup.texts import COMPLETE, Sets, Signed, gathered, in_order, path_for, sets_of, sign, text_bytes

MEMORY = 1 << 28  # bytes of band keys, and of shingle sets, that stay in memory; more goes to disk

Batches = Callable[[], Iterable[pa.Array]]
Progress = Callable[[int, int], None]


class BandKeys:
    """Band keys of all texts, a column a band, and how many shingles each text has."""

    def __init__(self, scheme: Scheme, folder: Path) -> None:
        limit = MEMORY // scheme.bands
        self.bands = [Spool(np.uint64, folder / f"band-{band}", limit) for band in range(scheme.bands)]
        self.counts = Spool(np.int64, folder / "counts", limit)
        self.texts = 0

    def append(self, part: Signed) -> None:
        """Add the next texts."""
        for band, keys in zip(self.bands, part.keys, strict=True):
            band.append(keys)
        self.counts.append(part.counts)
        self.texts += len(part.counts)

    def band(self, number: int) -> NDArray[np.uint64]:
        """Key of each text in one band."""
        return self.bands[number].read()


@dataclass(slots=True)
class Pairs:
    """Shingle sets of the candidates, for comparing pairs of them."""

    flat: NDArray[np.uint32]
    starts: Int64
    sizes: Int64
    limits: NDArray[np.uint32]
    threshold: float

    def alike(self, left: Int64, right: Int64) -> NDArray[np.bool_]:
        """Whether each pair reaches the threshold; sizes that rule it out are not intersected."""
        one, other = self.sizes[left], self.sizes[right]
        whole = (self.limits[left] == COMPLETE) & (self.limits[right] == COMPLETE)
        likely = np.flatnonzero(~whole | (np.minimum(one, other) >= self.threshold * np.maximum(one, other) - 1e-9))
        found = np.zeros(len(left), dtype=bool)
        similarity = np.empty(len(likely), dtype=np.float64)
        path = path_for(len(likely) * 1000)  # a pair costs the portable path as much as this many bytes of text
        path.similarity(self.flat, self.starts, self.sizes, self.limits, left[likely], right[likely], similarity)
        found[likely] = similarity >= self.threshold
        return found


def find_near(
    batches: Batches,
    config: Matching,
    progress: Progress = lambda done, total: None,
    earlier: Stored | None = None,
    size: int | None = None,
    threads: int | None = None,
) -> Clusters:
    """Clusters of texts that a Jaccard similarity of at least ``config.threshold`` links.

    batches: called once or twice, gives the same Arrow string arrays each time. Positions count the texts of
    ``earlier`` first, which are compared with new ones only. A text without words is like no other. size: bytes of
    text in all, where known. threads: all cores when None. progress: called with bands done and bands in all.
    Memory is bounded by the number of texts (some 30 bytes each beside `MEMORY`) and not by their length.
    """
    scheme = scheme_of(config)
    threads = _threads(threads, size)
    with tempfile.TemporaryDirectory(prefix="plumbline-neardup-") as folder:
        keys = BandKeys(scheme, Path(folder))
        if earlier is not None:
            for part in earlier.signed(scheme):
                keys.append(part)
        old = keys.texts
        for part in in_order(lambda job: sign(job[0], scheme, job[1]), _with_path(batches(), size), threads):
            keys.append(part)
        counts = keys.counts.read()

        def pairs(candidates: Int64) -> Pairs:
            sets = _candidate_sets(batches, candidates, counts, old, earlier, scheme, size, threads)
            return pairs_of(sets, Path(folder), config.threshold)

        return find_clusters(keys.band, counts, old, config, pairs, progress)


def find_clusters(
    band: Bands,
    counts: Int64,
    old: int,
    config: Matching,
    pairs: Callable[[Int64], Pairs],
    progress: Progress = lambda done, total: None,
) -> Clusters:
    """Clusters of texts whose band keys are known.

    band: key of each text in one band. counts: shingles of each text, 0 for one without words. old: how many of the
    first texts are compared with later ones only. pairs: compares candidates, given their positions, ascending.
    """
    scheme = scheme_of(config)
    candidates = find_candidates(band, scheme.bands, counts > 0)
    compare = pairs(candidates).alike if config.verify and len(candidates) else _all_alike
    search = Search(candidates, compare, old)
    bits = key_bits(len(counts))
    for number in range(scheme.bands):
        progress(number, scheme.bands)
        search.add_band(band(number)[candidates], bits)
    progress(scheme.bands, scheme.bands)
    return search.clusters()


def _threads(asked: int | None, size: int | None) -> int:
    """As asked; one for the portable path, which holds the GIL."""
    if size is not None and path_for(size) is portable:
        return 1
    return asked or len(os.sched_getaffinity(0))


def _all_alike(left: Int64, right: Int64) -> NDArray[np.bool_]:
    return np.ones(len(left), dtype=bool)


def _with_path(batches: Iterable[pa.Array], size: int | None) -> Iterator[tuple[pa.Array, ModuleType]]:
    """Batches, each with the path that is fastest for so many bytes, or for those seen so far."""
    seen = 0
    for texts in batches:
        seen += text_bytes(texts)
        yield texts, path_for(seen if size is None else size)


def _candidate_sets(
    batches: Batches,
    candidates: Int64,
    counts: Int64,
    old: int,
    earlier: Stored | None,
    scheme: Scheme,
    size: int | None,
    threads: int,
) -> Iterator[Sets]:
    """Shingle sets of the candidates, in order: stored ones, and those of new texts, which are read again."""
    if earlier is not None:
        yield from earlier.sets(candidates[candidates < old])
    path = path_for(0 if size is None else size)

    def again() -> Iterator[tuple[pa.Array, Int64]]:
        begin = old
        for texts in batches():
            low, high = np.searchsorted(candidates, (begin, begin + len(texts)))
            if low < high:
                yield gathered(texts, candidates[low:high] - begin), counts[candidates[low:high]]
            begin += len(texts)

    def made(job: tuple[pa.Array, Int64]) -> Sets:
        return sets_of(*job, scheme, path)

    yield from in_order(made, again(), threads)


def pairs_of(sets: Iterable[Sets], folder: Path, threshold: float) -> Pairs:
    """Shingle sets of candidates, in their order; many of them stand in a file of ``folder``."""
    flat = Spool(np.uint32, folder / "sets", MEMORY)
    sizes, limits = Spool(np.int64, folder / "sizes", MEMORY), Spool(np.uint32, folder / "limits", MEMORY)
    for part in sets:
        flat.append(part.flat)
        sizes.append(part.sizes)
        limits.append(part.limits)
    ends = np.cumsum(sizes.read())
    return Pairs(flat.mapped(), ends - sizes.read(), sizes.read(), limits.read(), threshold)
