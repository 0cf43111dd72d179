"""The working folder of the stage: what is cleaned so far, a folder a shard, each there as a whole or not at all.

rows.bin          text and metadata (JSON) of each document, one after the other, UTF-8
table.arrow       a row a document: id, language, reason, digest, counts, and where it stands in rows.bin
keys.bin          band keys, uint64 [bands, documents]; only where near duplicates are looked for
quarantine.jsonl  rows that could not be read
done.json         counts

Rows are read at their place with pread: output shards draw from all over the corpus, and a memory map of it would
count as memory of the process.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.corpus.document import Document, tie_of

ROWS, TABLE, KEYS, QUARANTINE, DONE = "rows.bin", "table.arrow", "keys.bin", "quarantine.jsonl", "done.json"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("digest", pa.binary(16)),
        ("tie", pa.uint64()),
        ("language", pa.string()),
        ("reason", pa.string()),
        ("characters", pa.int64()),
        ("tokens", pa.int64()),
        ("quality", pa.float64()),
        ("shingles", pa.int64()),
        ("start", pa.int64()),
        ("text_bytes", pa.int64()),
        ("metadata_bytes", pa.int64()),
    ]
)

Int64 = NDArray[np.int64]


@dataclass
class Cleaned:
    """Documents of one batch with what the filters and screens say; lists and arrays have a place a document.

    tokens: of the tokenizer that counts; else words, and characters of scripts without spaces. quality: how good the
    document is said to be.
    keys: [bands, documents], or None where near duplicates are not looked for; shingles: 0 for those left out.
    """

    documents: list[Document]
    reasons: list[str | None]
    tokens: Int64
    quality: list[float | None]
    shingles: Int64
    keys: NDArray[np.uint64] | None


@dataclass
class ShardWriter:
    """Writes one shard beside its place; `finish` puts it there."""

    folder: Path
    start: int = 0
    tables: list[pa.Table] = field(default_factory=list)
    keys: list[NDArray[np.uint64]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.new = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(self.new, ignore_errors=True)
        self.new.mkdir(parents=True)
        self.rows = (self.new / ROWS).open("wb")
        self.quarantine = (self.new / QUARANTINE).open("w", encoding="utf-8")
        return self

    def __exit__(self, *exception: object) -> None:
        self.rows.close()
        self.quarantine.close()

    def set_aside(self, entry: dict[str, Any]) -> None:
        """Keep a row that could not be read, with where it stood and why."""
        self.quarantine.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def add(self, batch: Cleaned) -> None:
        """Write the next documents."""
        starts, texts, metadata = [], [], []
        for document in batch.documents:
            text, about = document.text.encode(), document.metadata_json().encode()
            starts.append(self.start)
            texts.append(len(text))
            metadata.append(len(about))
            self.start += self.rows.write(text) + self.rows.write(about)
        documents = batch.documents
        columns = [
            pa.array([document.id for document in documents], pa.string()),
            pa.array([document.digest for document in documents], pa.binary(16)),
            pa.array([tie_of(document) for document in documents], pa.uint64()),
            pa.array([document.language for document in documents], pa.string()),
            pa.array(batch.reasons, pa.string()),
            pa.array([len(document.text) for document in documents], pa.int64()),
            pa.array(batch.tokens.tolist(), pa.int64()),
            pa.array(batch.quality, pa.float64()),
            pa.array(batch.shingles.tolist(), pa.int64()),
            *(pa.array(column, pa.int64()) for column in (starts, texts, metadata)),
        ]
        self.tables.append(pa.Table.from_arrays(columns, schema=SCHEMA))
        if batch.keys is not None:
            self.keys.append(batch.keys)

    def finish(self, done: dict[str, Any]) -> None:
        """Put the shard in its place. ``done`` is what `done_shard` returns."""
        self.rows.close()
        self.quarantine.close()
        table = pa.concat_tables(self.tables) if self.tables else SCHEMA.empty_table()
        with pa.OSFile(str(self.new / TABLE), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_table(table)
        if self.keys:
            np.concatenate(self.keys, axis=1).tofile(self.new / KEYS)
        (self.new / DONE).write_text(json.dumps(done, ensure_ascii=False), encoding="utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.new.rename(self.folder)


def done_shard(folder: Path) -> dict[str, Any] | None:
    """Counts of a finished shard; None when it is not finished."""
    try:
        found: dict[str, Any] = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def read_table(folder: Path) -> pa.Table:
    """The shard's table, in memory."""
    with pa.OSFile(str(folder / TABLE), "rb") as source:
        return pa.ipc.open_file(source).read_all()


def read_keys(folder: Path, bands: int, documents: int) -> NDArray[np.uint64]:
    """Band keys [bands, documents], on the disk."""
    if not documents:
        return np.empty((bands, 0), dtype=np.uint64)
    return np.memmap(folder / KEYS, dtype=np.uint64, mode="r", shape=(bands, documents))


class RowReader:
    """Texts and metadata of documents by their place, of any number of shards; files stay open while it is used."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self.shards = shards
        self.open: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self.open.values():
            os.close(handle)
        self.open = {}

    def read(self, shard: int, start: int, size: int) -> bytes:
        """Bytes of a shard's rows.bin."""
        if shard not in self.open:
            if len(self.open) >= 256:
                os.close(self.open.pop(next(iter(self.open))))
            self.open[shard] = os.open(self.shards[shard] / ROWS, os.O_RDONLY)
        return os.pread(self.open[shard], size, start)

    def texts(self, shard: Int64, start: Int64, size: Int64) -> Iterator[bytes]:
        """Texts (with size = text_bytes) or text and metadata (with both) of each place."""
        for number, begin, length in zip(shard.tolist(), start.tolist(), size.tolist(), strict=True):
            yield self.read(number, begin, length)
