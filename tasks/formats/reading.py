"""What every reader of a byte stream is given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from tasks.formats.row import ReadLimits, Row, shown


@dataclass(frozen=True)
class Reading:
    """A stream of decompressed bytes and what is known of it.

    name: for messages. position: bytes of the file on disk read so far. encoding: of the text in it; its line feeds
    are single bytes. start, stop: offsets of the first byte and after the last, for a part. first_line: its number.
    member: name inside an archive. exact: whether offsets are those of the file, and not of a text made from it.
    """

    stream: BinaryIO
    name: str
    position: Callable[[], int]
    limits: ReadLimits = field(default_factory=ReadLimits)
    encoding: str = "utf-8"
    start: int = 0
    stop: int | None = None
    first_line: int = 1
    member: str = ""
    exact: bool = True

    def good(self, line: int, values: dict[str, object], offset: int | None) -> Row:
        return Row(line, values, "", "", self.position(), offset if self.exact else None, self.member)

    def bad(self, line: int, error: str, raw: bytes, offset: int | None) -> Row:
        return Row(line, None, error, shown(raw), self.position(), offset if self.exact else None, self.member)

    def too_long(self, line: int, what: str, raw: bytes, offset: int | None) -> Row:
        limit = f"more than limits.row_bytes={self.limits.row_bytes}"
        return self.bad(line, f"{what} of {limit}; raise it to read such rows", raw, offset)

    def decode(self, content: bytes) -> tuple[str | None, str]:
        """Text of the bytes, or None and why there is none, with the byte (from 0) that does not fit."""
        try:
            return content.decode(self.encoding), ""
        except UnicodeDecodeError as error:
            return None, f"invalid {encoding_name(self.encoding)} at byte {error.start}{_wide(content)}"


def encoding_name(encoding: str) -> str:
    return "UTF-8" if encoding == "utf-8" else encoding


def _wide(content: bytes) -> str:
    """A hint when the bytes begin like UTF-16."""
    return ": this is UTF-16; set `encoding: utf-16`" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
