"""Output shards: which documents stand in each, and the task that writes one."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus.catalogue import Catalogue
from tasks.corpus.engine import Engine
from tasks.corpus.plan import Plan, Report
from tasks.corpus.work import Int64, RowReader
from tasks.corpus_shards import SCHEMA

SHARD_BYTES = 16_000_000  # of text; a longer document is a shard by itself
FOLDER, TARGET = "outputs", b"target"
REJECTS = pa.schema([(name, pa.string()) for name in ("id", "text", "source", "reason", "duplicate_of")])
WHERE = ("shard", "start", "text_bytes", "metadata_bytes")


def write_all(catalogue: Catalogue, engine: Engine, out: Path, train: Int64, heldout: Int64, rejects: Int64) -> None:
    """Write ``out/train``, ``out/heldout`` and ``out/rejects``, in the order given; at least one shard each."""
    folder = catalogue.plan.folder / FOLDER
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    number = 0
    for name, places in (("train", train), ("heldout", heldout), ("rejects", rejects)):
        (out / name).mkdir()
        for shard, (begin, end) in enumerate(_pieces(catalogue, places)):
            target = out / name / f"{shard:05d}.parquet"
            _write_wanted(folder / f"{number:06d}.arrow", catalogue, places[begin:end], target, name == "rejects")
            number += 1
    engine.run("output", catalogue.plan.folder, range(number), lambda done: None)


def write_output(folder: Path, number: int, report: Report) -> None:
    """Write one output shard: zstd level 3, a fixed schema, so that the same rows give the same bytes."""
    plan = Plan.load(folder)
    with pa.OSFile(str(folder / FOLDER / f"{number:06d}.arrow"), "rb") as source:
        wanted = pa.ipc.open_file(source).read_all()
    columns = {name: wanted[name] for name in wanted.column_names if name not in WHERE}
    shard, start, text, metadata = (wanted[name].to_numpy() for name in WHERE)
    texts, about = [], []
    with RowReader([plan.shard(shard) for shard in range(plan.jobs)]) as reader:
        for row, size in zip(reader.texts(shard, start, text + metadata), text.tolist(), strict=True):
            texts.append(row[:size].decode())
            about.append(row[size:].decode())
    columns["text"] = pa.array(texts, pa.string())
    columns["metadata"] = pa.array(about, pa.string())
    schema = REJECTS if "reason" in columns else SCHEMA
    table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
    target = Path(wanted.schema.metadata[TARGET].decode())
    pq.write_table(table, target, compression="zstd", compression_level=3)
    report(sum(map(len, texts)))


def _pieces(catalogue: Catalogue, places: Int64) -> list[tuple[int, int]]:
    """Where shards begin and end: so many documents, or so many bytes, whatever comes first."""
    sizes = np.cumsum(catalogue.numbers("text_bytes")[places])
    most = catalogue.plan.config.shard_documents
    pieces: list[tuple[int, int]] = []
    begin = 0
    while begin < len(places) or not pieces:
        before = int(sizes[begin - 1]) if begin else 0
        end = int(np.searchsorted(sizes, before + SHARD_BYTES, side="right"))
        end = max(min(end, begin + most, len(places)), min(begin + 1, len(places)))
        pieces.append((begin, end))
        begin = end
    return pieces


def _write_wanted(path: Path, catalogue: Catalogue, places: Int64, target: Path, rejects: bool) -> None:
    """What a shard is to hold: all but texts and metadata, and where those stand."""
    names = [source.name for source in catalogue.plan.config.sources]
    columns = {
        "id": pa.array(catalogue.ids(places), pa.string()),
        "source": pa.array([names[source] for source in catalogue.source[places]], pa.string()),
        "language": pa.array(catalogue.languages(places), pa.string()),
        "shard": pa.array(catalogue.shard[places].tolist(), pa.int64()),
        **{name: pa.array(catalogue.numbers(name)[places].tolist(), pa.int64()) for name in WHERE[1:]},
    }
    if rejects:
        survivors = catalogue.survivor[places].tolist()
        columns["reason"] = pa.array([catalogue.reasons[code] for code in catalogue.reason[places]], pa.string())
        columns["duplicate_of"] = pa.array(
            [None if place == -1 else catalogue.id(place) for place in survivors], pa.string()
        )
    table = pa.table(columns).replace_schema_metadata({TARGET: str(target).encode()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
