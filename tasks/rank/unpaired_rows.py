"""Answers that were judged by themselves: kept beside the rankings, which they cannot be part of."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.rank.layouts.item import Unpaired

NAME = "unpaired.parquet"
SCHEMA = pa.schema(
    [
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("answer", pa.string()),
        ("desirable", pa.bool_()),
    ]
)


def write_unpaired(folder: Path, items: Sequence[Unpaired]) -> None:
    """Write ``folder/unpaired.parquet`` (zstd), or nothing where there are none."""
    if items:
        table = pa.Table.from_pylist([asdict(item) for item in items], schema=SCHEMA)
        pq.write_table(table, folder / NAME, compression="zstd", compression_level=3)
