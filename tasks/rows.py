"""Rows of raw files, one at a time: JSON lines, plain text, Parquet, each gzipped or not.

A row that cannot be read is handed on with its line and the reason, so that a stage can count it, show it and
go on. A file that cannot be read at all (missing, truncated, not what its name says) is a `BadData`.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from tasks.failures import BadData

Format = Literal["jsonl", "txt", "parquet"]
SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "txt",
    ".md": "txt",
    ".parquet": "parquet",
}
BOM = b"\xef\xbb\xbf"
SHOWN = 200  # characters of an unreadable row that are kept for the reader


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    line: line number, or row number in Parquet, from 1. values: the row, or None when it is malformed.
    error: why it is malformed. raw: its first characters, when malformed. position: bytes of the file consumed.
    """

    line: int
    values: dict[str, Any] | None
    error: str
    raw: str
    position: int


def file_format(path: Path, asked: str) -> Format:
    """The format a file is read as: the one asked for, or with ``auto`` the one of its suffix.

    Raises BadData when the suffix is none of the known ones.
    """
    if asked != "auto":
        return cast(Format, asked)
    plain = path.name.removesuffix(".gz")
    suffix = Path(plain).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise BadData(f"{path.name}: suffix {suffix or '(none)'!r} is none of {known}; set `format` of the source")
    return SUFFIXES[suffix]


def read_rows(path: Path, format: str = "auto") -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """Line number, row (None when malformed) and the reason, of each row. Blank lines are no rows."""
    for row in read_file(path, format):
        yield row.line, row.values, row.error


def read_file(path: Path, format: str = "auto") -> Iterator[Row]:
    """Rows of one file. A text file is one row ``{"text": …}``.

    Raises BadData when the file is missing, truncated or damaged.
    """
    kind = file_format(path, format)
    try:
        if kind == "parquet":
            yield from _parquet_rows(path)
        elif kind == "txt":
            yield _text_row(path)
        else:
            yield from _json_rows(path)
    except FileNotFoundError as error:
        raise BadData(f"{path.name}: no such file") from error
    except EOFError as error:
        raise BadData(f"{path.name}: the gzip file is truncated; fetch it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadData(f"{path.name}: not a sound gzip file ({error}); fetch it again") from error


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as raw:
        zipped = path.suffix == ".gz"
        lines = cast(io.BufferedIOBase, gzip.GzipFile(fileobj=raw)) if zipped else raw
        for number, line in enumerate(lines, start=1):
            content = line.removeprefix(BOM) if number == 1 else line
            if not content.strip():
                continue
            values, error = parse_json(content.rstrip())
            shown = "" if values is not None else _shown(content)
            yield Row(number, values, error, shown, raw.tell())


def parse_json(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """One JSON object of one line as (values, ""), or (None, reason)."""
    try:
        values = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return None, f"invalid UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        return None, f"invalid JSON: {error.msg.removesuffix(' at')} at character {error.pos}"
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        return None, f"invalid JSON: {error}"
    if not isinstance(values, dict):
        return None, f"not a JSON object but {type(values).__name__}"
    if b"\\ud" in line.lower() and not _encodable(values):
        return None, "half of a surrogate pair: not Unicode text"
    return values, ""


def _encodable(values: dict[str, Any]) -> bool:
    try:
        json.dumps(values, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _text_row(path: Path) -> Row:
    content = path.read_bytes()
    size = len(content)
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    content = content.removeprefix(BOM)
    try:
        return Row(1, {"text": content.decode("utf-8")}, "", "", size)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Row(line, None, f"invalid UTF-8 at byte {error.start}", _shown(content), size)


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = path.stat().st_size
    try:
        content: Any = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path
        with pq.ParquetFile(pa.BufferReader(content) if isinstance(content, bytes) else content) as file:
            total = max(file.metadata.num_rows, 1)
            number = 0
            for batch in file.iter_batches(batch_size=1000):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, values, "", "", size * number // total)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError | gzip.BadGzipFile):
            raise
        raise BadData(f"{path.name}: not a sound Parquet file ({error})") from error


def _shown(content: bytes) -> str:
    return content[: SHOWN * 4].decode("utf-8", errors="replace").rstrip("\r\n")[:SHOWN]
