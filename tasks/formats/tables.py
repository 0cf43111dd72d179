"""Parquet and Arrow: rows of a table, a batch at a time; parts are row groups and record batches."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from tasks.failures import BadData
from tasks.formats.names import compression
from tasks.formats.row import FilePart, ReadLimits, Row
from tasks.formats.stream import Budget, open_file, unpacked

BATCH = 256
MAGIC = b"ARROW1"
UNSOUND = (pa.ArrowException, OSError, UnicodeDecodeError)


def parquet_rows(part: FilePart, limits: ReadLimits) -> Iterator[Row]:
    """Rows of some row groups of a Parquet file. Raises BadData when it is not sound."""
    path = part.path
    size = path.stat().st_size
    with _opened(path, limits) as source:
        try:
            with pq.ParquetFile(source) as file:
                groups = range(file.num_row_groups)[part.start : part.stop]
                total = max(file.metadata.num_rows, 1)
                batches = file.iter_batches(batch_size=BATCH, row_groups=list(groups)) if groups else iter(())
                yield from _rows(batches, part, limits, size / total)
        except UNSOUND as error:
            raise BadData(f"{path.name}: not a sound Parquet file ({error}); fetch it again") from error


def arrow_rows(part: FilePart, limits: ReadLimits) -> Iterator[Row]:
    """Rows of some record batches of an Arrow file or stream, memory-mapped. Raises BadData when it is not sound."""
    path = part.path
    size = path.stat().st_size
    try:
        with pa.memory_map(str(path), "rb") as source:
            batches = _batches(source)
            chosen = (batch for number, batch in enumerate(batches) if _within(number, part))
            small = (batch.slice(at, BATCH) for batch in chosen for at in range(0, max(batch.num_rows, 1), BATCH))
            for row in _rows(small, part, limits, 0.0):
                yield Row(row.line, row.values, row.error, row.raw, min(source.tell(), size))
    except UNSOUND as error:
        raise BadData(f"{path.name}: not a sound Arrow file or stream ({error}); fetch it again") from error


def _within(number: int, part: FilePart) -> bool:
    return number >= part.start and (part.stop is None or number < part.stop)


def _batches(source: Any) -> Iterator[pa.RecordBatch]:
    head = source.read(len(MAGIC))
    source.seek(0)
    if head == MAGIC:
        with pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                yield file.get_batch(number)
    else:
        with pa.ipc.open_stream(source) as stream:
            yield from stream


def _rows(batches: Any, part: FilePart, limits: ReadLimits, bytes_a_row: float) -> Iterator[Row]:
    number = part.first_line - 1
    for batch in batches:
        if any(column.nbytes > limits.row_bytes for column in batch.columns):
            small = _row_by_row(batch, limits)
        else:
            small = ((values, "") for values in batch.to_pylist())
        for values, error in small:
            number += 1
            yield Row(number, values, error, "", int(number * bytes_a_row))


def _row_by_row(batch: pa.RecordBatch, limits: ReadLimits) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """Rows of a batch that may hold one above the limit."""
    for at in range(batch.num_rows):
        row = batch.slice(at, 1)
        if any(column.nbytes > limits.row_bytes for column in row.columns):
            yield None, f"a row of more than limits.row_bytes={limits.row_bytes}; raise it to read such rows"
        else:
            yield row.to_pylist()[0], ""


def _opened(path: Path, limits: ReadLimits) -> Any:
    """A file that can be sought in: a packed one is unpacked to an unnamed temporary file."""
    packed = open_file(path)
    _, kind = compression(path.name)
    if not kind:
        return packed
    with packed:
        whole = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            shutil.copyfileobj(unpacked(packed, kind, Budget(path.name, path.stat().st_size, limits)), whole)
        except BaseException:
            whole.close()
            raise
    whole.seek(0)
    return whole


def parquet_parts(path: Path, size: int) -> list[FilePart]:
    """Runs of row groups of about ``size`` packed bytes."""
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            groups = [meta.row_group(number) for number in range(meta.num_row_groups)]
            weights = [sum(group.column(i).total_compressed_size for i in range(group.num_columns)) for group in groups]
            rows = [group.num_rows for group in groups]
    except UNSOUND as error:
        raise BadData(f"{path.name}: not a sound Parquet file ({error}); fetch it again") from error
    return _runs(path, "parquet", weights, rows, size)


def arrow_parts(path: Path, size: int) -> list[FilePart]:
    """Runs of record batches of about ``size`` bytes. The data itself is not read."""
    try:
        with pa.memory_map(str(path), "rb") as source:
            found = [(batch.nbytes, batch.num_rows) for batch in _batches(source)]
    except UNSOUND as error:
        raise BadData(f"{path.name}: not a sound Arrow file or stream ({error}); fetch it again") from error
    return _runs(path, "arrow", [one for one, _ in found], [one for _, one in found], size)


def _runs(path: Path, format: str, weights: list[int], rows: list[int], size: int) -> list[FilePart]:
    """Neighbours together until they reach the size; the last part goes to the end."""
    starts, held = [0], 0
    for number, weight in enumerate(weights):
        if held and held + weight > size:
            starts.append(number)
            held = 0
        held += weight
    stops = [*starts[1:], None]
    firsts = [1 + sum(rows[:start]) for start in starts]
    return [
        FilePart(path, format, start, stop, first) for start, stop, first in zip(starts, stops, firsts, strict=True)
    ]
