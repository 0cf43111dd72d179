"""Rows of a file, of a part of one, of an archive: the right reader for each format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from tasks.failures import BadData
from tasks.formats.archive import archive_rows
from tasks.formats.delimited import delimited_rows
from tasks.formats.json_rows import json_rows, jsonl_rows
from tasks.formats.lines import line_rows
from tasks.formats.names import Format, archive, compression, file_format
from tasks.formats.reading import Reading
from tasks.formats.row import FilePart, ReadLimits, Row
from tasks.formats.stream import Budget, as_utf8, codec, open_file, unpacked
from tasks.formats.text import html_rows, text_rows
from tasks.formats.warc import warc_rows

READERS = {
    "jsonl": jsonl_rows,
    "json": json_rows,
    "csv": lambda reading: delimited_rows(reading, ","),
    "tsv": lambda reading: delimited_rows(reading, "\t"),
    "txt": text_rows,
    "lines": line_rows,
    "html": html_rows,
    "warc": warc_rows,
}


def read_rows(path: Path, format: str = "auto") -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """Line number, row (None when malformed) and the reason, of each row. Blank lines are no rows."""
    for row in read_file(path, format):
        yield row.line, row.values, row.error


def read_file(
    path: Path, format: str = "auto", limits: ReadLimits | None = None, encoding: str = "utf-8"
) -> Iterator[Row]:
    """Rows of one file. Raises BadData when it is missing, truncated, damaged, or unpacks to too much."""
    asked = format if archive(path.name) else file_format(path, format)
    yield from read_part(FilePart(path, asked, encoding=encoding), limits)


def read_part(part: FilePart, limits: ReadLimits | None = None) -> Iterator[Row]:
    """Rows of one part; the parts of a file, one after the other, give the rows of the file.

    Raises BadData as ``read_file`` does, and when the file changes while it is read.
    """
    limits = limits or ReadLimits()
    size = _size(part.path)
    if archive(part.path.name):
        yield from archive_rows(part.path, part.format, part.encoding, limits, _read)
    elif part.format in ("parquet", "arrow"):
        from tasks.formats import tables  # pyarrow takes a while to import

        yield from (tables.parquet_rows if part.format == "parquet" else tables.arrow_rows)(part, limits)
    else:
        yield from _stream_rows(part, size, limits)
    if part.path.exists() and (now := part.path.stat().st_size) != size:
        raise BadData(f"{part.path.name} changed while it was read ({size} → {now} bytes); run when it is finished")


def _stream_rows(part: FilePart, size: int, limits: ReadLimits) -> Iterator[Row]:
    name = part.path.name
    _, kind = compression(name)
    if kind and not size:
        raise BadData(f"{name}: the file is empty, and not even compressed; fetch it again")
    if (part.stop or part.start) > size:
        raise BadData(
            f"{name}: ends at byte {size}, but was {part.stop} bytes long when its parts were made; run again"
        )
    with open_file(part.path) as raw:
        counted: Any = raw.raw
        raw.seek(part.start)
        stream = unpacked(cast(BinaryIO, raw), kind, Budget(name, size, limits))
        plain, encoding = as_utf8(stream, part.encoding, name)
        exact = encoding == codec(part.encoding)
        yield from _read(
            Reading(
                plain, name, lambda: counted.place, limits, encoding, part.start, part.stop, part.first_line, "", exact
            ),
            cast(Format, part.format),
        )


def _read(reading: Reading, format: Format) -> Iterator[Row]:
    try:
        yield from READERS[format](reading)
    except OSError as error:
        raise BadData(f"{reading.name}: reading stopped ({error}); see whether the file is still there") from error


def _size(path: Path) -> int:
    if not path.is_file():
        raise BadData(f"{path.name}: no such file; correct the path of the source")
    return path.stat().st_size
