"""One row of a raw file, the limits it is read under, and how a bad one is shown."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

SHOWN = 200  # characters of an unreadable row that are kept for the reader


class Row(NamedTuple):
    """One row of a file.

    line: line number from 1; row number in Parquet and Arrow, record number in WARC. values: the row, or None when
    it is malformed. error: why it is malformed. raw: its first characters, when malformed. position: bytes of the
    file on disk consumed, from its start. offset: where the row begins in bytes of the decompressed file (of the
    member, in an archive), or None where there is no such place. member: name inside an archive, else empty.
    """

    line: int
    values: dict[str, Any] | None
    error: str
    raw: str
    position: int
    offset: int | None = None
    member: str = ""


@dataclass(frozen=True)
class ReadLimits:
    """How much memory a file may ask for.

    row_bytes: a longer line, record or text file is a malformed row and is never held in memory.
    expansion: a compressed file may unpack to this many times its size; small files to FREE_BYTES at least.
    expanded_bytes: an absolute limit that replaces the ratio.
    """

    row_bytes: int = 64 << 20
    expansion: float = 200.0
    expanded_bytes: int | None = None


FREE_BYTES = 64 << 20  # a file of blanks packs a thousandfold and harms nobody


@dataclass(frozen=True)
class FilePart:
    """A part of a file that can be read by itself.

    start, stop: bytes of an uncompressed line file, each at the start of a line; row groups of Parquet; record
    batches of Arrow; 0 and None for a whole file. first_line: number of the first line or row, from 1.
    """

    path: Path
    format: str
    start: int = 0
    stop: int | None = None
    first_line: int = 1
    encoding: str = "utf-8"

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "FilePart":
        return cls(**{**values, "path": Path(values["path"])})


def shown(content: bytes) -> str:
    """The first characters of an unreadable row."""
    return content[: SHOWN * 4].decode("utf-8", errors="replace").rstrip("\r\n")[:SHOWN]
