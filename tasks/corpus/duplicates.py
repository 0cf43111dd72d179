"""Exact and near duplicates: which documents stay, and which stand for them."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from configs.schema.corpus import DedupConfig
from tasks.corpus.catalogue import EARLIER, KEPT, BandReader, Catalogue
from tasks.corpus.engine import Engine
from tasks.corpus.neardup.cluster import Clusters
from tasks.corpus.neardup.find import BandKeys, Pairs, find_clusters, pairs_of
from tasks.corpus.neardup.scheme import scheme_of
from tasks.corpus.neardup.stored import Stored, write_signatures
from tasks.corpus.neardup.texts import Sets
from tasks.corpus.sets import read_sets, want_sets
from tasks.corpus.simplified import fold_for
from tasks.corpus.work import Int64

BATCH = 4_000_000  # bytes of text that are signed at a time

Progress = Callable[[int, int], None]


def drop_exact(catalogue: Catalogue, earlier: Stored) -> None:
    """Drop all but the first of the documents with equal folded text, and those whose digest ``earlier`` has."""
    places = np.flatnonzero(catalogue.kept)
    catalogue.earlier, known = [], {}
    for digest, id_ in earlier.digests().items():
        known[digest] = EARLIER - len(catalogue.earlier)
        catalogue.earlier.append(id_)
    high, low = catalogue.digests[places].view(np.uint64).T if len(places) else np.empty((2, 0), dtype=np.uint64)
    order = np.lexsort((high, low))  # stable: the first of equal ones is the first in document order
    same = np.zeros(len(order), dtype=bool)
    same[1:] = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
    first = order[np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))]
    survivor = np.full(len(order), KEPT, dtype=np.int64)
    survivor[order[same]] = places[first[same]]
    if known:
        digests = catalogue.table["digest"].take(pa.array(places)).to_pylist()
        found = np.array([known.get(digest, KEPT) for digest in digests], dtype=np.int64)
        survivor = np.where(found != KEPT, found, survivor)
    gone = survivor != KEPT
    catalogue.drop(places[gone], "exact_duplicate", survivor[gone])


def drop_near(catalogue: Catalogue, earlier: Stored, engine: Engine, progress: Progress) -> Clusters:
    """Keep one document of each cluster of near duplicates among the documents that are compared.

    A cluster that a document of ``earlier`` belongs to loses all of its new documents. Positions in the clusters
    that are returned count those of ``earlier`` first, then the compared documents.
    """
    config = catalogue.plan.config.dedup
    places = np.flatnonzero(catalogue.kept & catalogue.compared)
    known = earlier.ids()
    found = _clusters(catalogue, places, earlier, engine, progress)
    base = len(catalogue.earlier)
    catalogue.earlier += known
    gone, survivors = [], []
    rank = _ranks(catalogue, places, config)
    for cluster in found.lists():
        new = [position - len(known) for position in cluster if position >= len(known)]
        if len(new) < len(cluster):
            survivor, kept = EARLIER - base - cluster[0], -1
        else:
            kept = min(new, key=rank.__getitem__)
            survivor = int(places[kept])
        gone += [places[position] for position in new if position != kept]
        survivors += [survivor] * (len(new) - (kept != -1))
    catalogue.drop(np.array(gone, dtype=np.int64), "near_duplicate", np.array(survivors, dtype=np.int64))
    return found


def save_signatures(catalogue: Catalogue, out: Path) -> None:
    """Write the signatures of the kept documents to ``out/signatures``."""
    (out / "signatures").mkdir()
    config = catalogue.plan.config
    names, fold = [source.name for source in config.sources], fold_for(config.dedup)
    places = np.flatnonzero(catalogue.kept)

    def columns() -> Iterator[dict[str, pa.Array]]:
        with catalogue.reader() as reader:
            for batch in _groups(catalogue, places):
                texts = [
                    fold(text) if compared else None
                    for text, compared in zip(
                        catalogue.texts(reader, batch), catalogue.compared[batch].tolist(), strict=True
                    )
                ]
                yield {
                    "id": pa.array(catalogue.ids(batch), pa.string()),
                    "source": pa.array([names[source] for source in catalogue.source[batch]], pa.string()),
                    "digest": catalogue.table["digest"].take(pa.array(batch)).combine_chunks(),
                    "text": pa.array(texts, pa.large_string()),
                }

    size = int(catalogue.numbers("text_bytes")[places].sum())
    target = out / "signatures" / "00000.parquet"
    write_signatures(target, columns(), scheme_of(config.dedup), config.dedup.sketch, size)


def _clusters(catalogue: Catalogue, places: Int64, earlier: Stored, engine: Engine, progress: Progress) -> Clusters:
    plan = catalogue.plan
    config, scheme = plan.config.dedup, scheme_of(plan.config.dedup)
    with tempfile.TemporaryDirectory(prefix="near-", dir=plan.folder) as folder:
        stored = BandKeys(scheme, Path(folder))
        for part in earlier.signed(scheme):
            stored.append(part)
        old, new = stored.texts, BandReader(catalogue, places, scheme.bands)
        counts = np.concatenate((stored.counts.read(), catalogue.numbers("shingles")[places]))

        def band(number: int) -> NDArray[np.uint64]:
            return np.concatenate((stored.band(number), new.read(number)))

        def pairs(candidates: Int64) -> Pairs:
            return _pairs(catalogue, places, candidates, old, earlier, engine, Path(folder))

        return find_clusters(band, counts, old, config, pairs, progress)


def _pairs(
    catalogue: Catalogue, places: Int64, candidates: Int64, old: int, earlier: Stored, engine: Engine, folder: Path
) -> Pairs:
    """Shingle sets of the candidates: stored ones, and those of new documents, which the engine makes by shard."""
    plan = catalogue.plan
    new = places[candidates[candidates >= old] - old]
    shards, rows = catalogue.shard[new], catalogue.row[new]
    order = np.lexsort((rows, shards))
    wanted = [int(shard) for shard in np.unique(shards)]
    for shard in wanted:
        want_sets(plan, shard, np.sort(rows[shards == shard]))
    engine.run("sets", plan.folder, wanted, lambda done: None)

    def sets() -> Iterator[Sets]:
        yield from earlier.sets(candidates[candidates < old])
        yield from (read_sets(plan, shard) for shard in wanted)

    pairs = pairs_of(sets(), folder, plan.config.dedup.threshold)
    # From the order of shards to that of documents
    before = len(candidates) - len(new)
    back = np.concatenate((np.arange(before), before + np.argsort(order)))
    pairs.starts, pairs.sizes, pairs.limits = pairs.starts[back], pairs.sizes[back], pairs.limits[back]
    return pairs


def _ranks(catalogue: Catalogue, places: Int64, config: DedupConfig) -> list[int]:
    """The least of a cluster stays."""
    # Without a preference, the ids of all sources are in one order
    ids = np.argsort(np.array(catalogue.ids(places), dtype=object), kind="stable") if not config.prefer_source else None
    first = np.arange(len(places))
    if ids is not None:
        first[ids] = np.arange(len(places))
    keys = [first]
    if config.survivor == "longest":
        keys.append(-catalogue.numbers("characters")[places])
    elif config.survivor == "best":
        quality = catalogue.table["quality"].take(pa.array(places)).to_numpy(zero_copy_only=False)
        keys.append(-np.nan_to_num(quality.astype(np.float64), nan=-np.inf))
    if config.prefer_source:
        keys.append(catalogue.source[places])
    ranks = np.empty(len(places), dtype=np.int64)
    ranks[np.lexsort(keys)] = np.arange(len(places))
    return ranks.tolist()


def _groups(catalogue: Catalogue, places: Int64) -> Iterator[Int64]:
    """Runs of documents of about `BATCH` bytes."""
    ends = np.cumsum(catalogue.numbers("text_bytes")[places])
    begin = 0
    while begin < len(places):
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + BATCH, side="right")))
        yield places[begin:end]
        begin = end
