"""Lines of a byte stream, none of them longer in memory than it may be."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tasks.formats.reading import Reading
from tasks.formats.row import SHOWN, Row

BOM = b"\xef\xbb\xbf"
SKIP = 1 << 20


class Line(NamedTuple):
    """A line with its end. number: from 1. offset: of its first byte. whole: False when only its start is here."""

    number: int
    offset: int
    content: bytes
    whole: bool


def read_lines(reading: Reading) -> Iterator[Line]:
    """Every line that begins before ``reading.stop``. A byte-order mark at the start of the file is left out.

    Of a line above the limit the first characters are given, and the rest is passed over in small steps.
    """
    stream, most = reading.stream, reading.limits.row_bytes
    number, offset = reading.first_line, reading.start
    stop = reading.stop
    while stop is None or offset < stop:
        content = stream.readline(most + 1)
        if not content:
            return
        size, whole = len(content), True
        if size > most and not (size == most + 1 and content.endswith(b"\n")):
            content, whole = content[: SHOWN * 4], False
            size += _pass_over(stream)
        if offset == 0 and content.startswith(BOM):
            content = content[len(BOM) :]
        yield Line(number, offset, content, whole)
        number += 1
        offset += size


def _pass_over(stream: BinaryIO) -> int:
    """Read to the end of the line; bytes read."""
    size = 0
    while piece := stream.readline(SKIP):
        size += len(piece)
        if piece.endswith(b"\n"):
            break
    return size


def line_rows(reading: Reading) -> Iterator[Row]:
    """One document a line, as {"text": …}. Blank lines are no rows."""
    for line in read_lines(reading):
        if not line.whole:
            yield reading.too_long(line.number, "a line", line.content, line.offset)
            continue
        if not line.content.strip():
            continue
        text, error = reading.decode(line.content.rstrip(b"\r\n"))
        if text is not None and "\0" in text:
            error = f"NUL at character {text.index(chr(0))}: not text"
        if error:
            yield reading.bad(line.number, error, line.content, line.offset)
        else:
            yield reading.good(line.number, {"text": text}, line.offset)
