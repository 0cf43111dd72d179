"""All documents of all shards in document order: what duplicates, split, mix and report are decided on.

About 150 bytes a document, in the process that drives the stage; texts stay on the disk.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.corpus.plan import Plan
from tasks.corpus.work import Int64, RowReader, read_keys, read_table

EARLIER = -2  # survivors below: position -2 is the first document of an earlier corpus
KEPT = -1

Digests = NDArray[np.uint8]


@dataclass
class Catalogue:
    """Columns over documents, which stand by source, then id, then what they hold.

    So their order has nothing to do with files, rows and shards. reason: place in ``reasons``, `KEPT` for a document
    that stays. survivor: position of the document that stands for a duplicate, `KEPT` for none; at `EARLIER` and
    below the documents of an earlier corpus, whose ids are ``earlier``. repeated_ids: documents whose id another one
    of their source had already; they are ID~2, ID~3 and so on, in document order.
    """

    plan: Plan
    table: pa.Table
    shard: Int64
    row: Int64
    source: Int64
    reasons: list[str]
    reason: NDArray[np.int16]
    survivor: Int64
    repeated_ids: int = 0
    earlier: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan) -> "Catalogue":
        """Read the tables of all shards."""
        tables, shards, rows, sources = [], [], [], []
        for number in range(plan.jobs):
            table = read_table(plan.shard(number))
            # Few languages and reasons: a code instead of the text, in memory
            for name in ("language", "reason"):
                place = table.schema.get_field_index(name)
                table = table.set_column(place, name, table[name].dictionary_encode())
            tables.append(table)
            shards.append(np.full(len(table), number, dtype=np.int64))
            rows.append(np.arange(len(table), dtype=np.int64))
            sources.append(np.full(len(table), plan.job_sources[number], dtype=np.int64))
        joined = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        del tables, table  # else every document stands in memory twice
        source = np.concatenate(sources)
        order = _order(joined, source)
        table = joined.drop_columns(["tie"]).take(pa.array(order)).combine_chunks()
        del joined
        reasons, reason = _codes(table["reason"])
        table, repeated = _own_ids(table, source[order])
        return cls(
            plan,
            table.drop_columns(["reason"]),
            np.concatenate(shards)[order],
            np.concatenate(rows)[order],
            source[order],
            reasons,
            reason,
            np.full(len(table), KEPT, dtype=np.int64),
            repeated,
        )

    def __len__(self) -> int:
        return len(self.table)

    def numbers(self, name: str) -> Int64:
        """A column of whole numbers."""
        found: Int64 = self.table[name].to_numpy()
        return found

    @cached_property
    def digests(self) -> Digests:
        """Digest of each document, [N, 16]."""
        return np.frombuffer(b"".join(self.table["digest"].to_pylist()), dtype=np.uint8).reshape(-1, 16)

    @cached_property
    def compared(self) -> NDArray[np.bool_]:
        """Whether a document takes part in near-duplicate removal."""
        of_source = [source.near_duplicates == "drop" for source in self.plan.config.sources]
        return np.array(of_source, dtype=bool)[self.source]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Documents that nothing has dropped so far."""
        return self.reason == KEPT

    def id(self, place: int) -> str:
        """Id of a document; of one of the earlier corpus for a survivor's position."""
        if place <= EARLIER:
            return self.earlier[EARLIER - place]
        found: str = self.table["id"][place].as_py()
        return found

    def ids(self, places: Int64) -> list[str]:
        """Ids of documents."""
        found: list[str] = self.table["id"].take(pa.array(places)).to_pylist()
        return found

    def languages(self, places: Int64) -> list[str]:
        """Languages of documents."""
        found: list[str] = self.table["language"].take(pa.array(places)).to_pylist()
        return found

    def drop(self, places: Int64, reason: str, survivors: Int64) -> None:
        """Drop documents for a reason, with the document that stands for each."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.reason[places] = self.reasons.index(reason)
        self.survivor[places] = survivors

    def reader(self) -> RowReader:
        """Reads texts; to be used in a ``with``."""
        return RowReader([self.plan.shard(number) for number in range(self.plan.jobs)])

    def texts(self, reader: RowReader, places: Int64) -> Iterator[str]:
        """Texts of documents."""
        start, size = self.numbers("start")[places], self.numbers("text_bytes")[places]
        return (text.decode() for text in reader.texts(self.shard[places], start, size))


@dataclass
class BandReader:
    """Band keys of the documents at these places, from the shards' files."""

    catalogue: Catalogue
    places: Int64
    bands: int

    def read(self, number: int) -> NDArray[np.uint64]:
        """Key of each document in one band."""
        found = np.zeros(len(self.places), dtype=np.uint64)
        for shard, documents, chosen in self._by_shard:
            keys = read_keys(self.catalogue.plan.shard(shard), self.bands, documents)[number]
            found[chosen] = keys[self.catalogue.row[self.places[chosen]]]
        return found

    @cached_property
    def _by_shard(self) -> list[tuple[int, int, Int64]]:
        """Shard, documents in it, and which of the places it has."""
        shards = self.catalogue.shard[self.places]
        order = np.argsort(shards, kind="stable")
        counts = np.bincount(self.catalogue.shard, minlength=1)
        wanted = np.bincount(shards, minlength=1)
        groups = np.split(order, np.cumsum(wanted[wanted > 0])[:-1])
        return [
            (int(shard), int(counts[shard]), chosen)
            for shard, chosen in zip(np.flatnonzero(wanted), groups, strict=False)
        ]


def _order(table: pa.Table, source: Int64) -> Int64:
    keys = pa.table({"source": source, **{name: table[name] for name in ("id", "digest", "tie")}})
    order: Int64 = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]).to_numpy()
    return order.astype(np.int64)


def _own_ids(table: pa.Table, source: Int64) -> tuple[pa.Table, int]:
    """The table with ids that differ within a source, and how many were changed."""
    ids = table["id"].combine_chunks()
    if len(ids) < 2:
        return table, 0
    same = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy(zero_copy_only=False)
    repeated = np.concatenate(([False], same & (source[1:] == source[:-1])))
    places = np.flatnonzero(repeated)
    if not len(places):
        return table, 0
    first = np.maximum.accumulate(np.where(repeated, 0, np.arange(len(ids))))
    names = [
        f"{id_}~{number}"
        for id_, number in zip(
            ids.take(pa.array(places)).to_pylist(), (places - first[places] + 1).tolist(), strict=True
        )
    ]
    changed = pc.replace_with_mask(ids, pa.array(repeated), pa.array(names, ids.type))
    return table.set_column(table.schema.get_field_index("id"), "id", changed), len(places)


def _codes(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int16]]:
    """Names, and the place of each value among them, `KEPT` for null."""
    array = column.combine_chunks()
    names: list[str] = array.dictionary.to_pylist()
    codes = array.indices.fill_null(KEPT).to_numpy(zero_copy_only=False).astype(np.int16)
    return names, codes
