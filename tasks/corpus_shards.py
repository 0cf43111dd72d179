"""Parquet shards of a corpus: written by the corpus stage, read by tokenizer, pretrain and evaluate."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.failures import BadData

Split = Literal["train", "heldout"]
ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str)
SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "text", "source", "language", "metadata")])


def write_shards(folder: Path, split: Split, rows: Iterable[dict[str, Any]], shard_documents: int) -> int:
    """Write rows (id, text, source, language, metadata dict) as ``folder/split/00000.parquet`` and so on.

    zstd level 3, a fixed schema, rows in the order given: the same rows give the same bytes. One shard is
    written even when there are no rows. Returns the number of rows.
    """
    target = folder / split
    target.mkdir(parents=True, exist_ok=True)
    written, shard, pending = 0, 0, []
    for row in rows:
        pending.append({**row, "metadata": metadata_json(row["metadata"])})
        if len(pending) == shard_documents:
            write_parquet(target / f"{shard:05d}.parquet", pending, SCHEMA)
            written, shard, pending = written + len(pending), shard + 1, []
    if pending or shard == 0:
        write_parquet(target / f"{shard:05d}.parquet", pending, SCHEMA)
    return written + len(pending)


def write_parquet(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows with the given schema; the same rows give the same bytes."""
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, path, compression="zstd", compression_level=3)


def metadata_json(metadata: dict[str, Any]) -> str:
    """Metadata as the JSON text that a shard holds: keys sorted, characters as they are."""
    return ENCODER.encode(metadata) if metadata else "{}"


def read_shards(folder: Path, split: Split) -> Iterator[dict[str, Any]]:
    """Rows of a corpus artifact in order: id, text, source, language, and metadata as a dict.

    Raises BadData when the folder holds no shard of this split, or a shard is damaged.
    """
    shards = sorted((folder / split).glob("*.parquet"))
    if not shards:
        raise BadData(f"the corpus has no {split}/*.parquet: it is not the output of the corpus stage")
    for shard in shards:
        try:
            with pq.ParquetFile(shard) as file:
                for batch in file.iter_batches(batch_size=1000):
                    for row in batch.to_pylist():
                        yield {**row, "metadata": json.loads(row["metadata"])}
        except pa.ArrowException as error:
            raise BadData(f"{split}/{shard.name}: not a sound Parquet file ({error})") from error
