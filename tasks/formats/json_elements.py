"""Cut a long JSON array into its elements without building it: a bad or huge element costs only itself."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tasks.failures import BadData
from tasks.formats.lines import BOM
from tasks.formats.reading import Reading
from tasks.formats.row import SHOWN

CHUNK = 1 << 20
# A whole string, the start of one that goes on, or a bracket
TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{}]', re.DOTALL)
STRING_END = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
SCALAR_END = re.compile(rb'[,\[\]{}"\n]')
BLANK = b" \t\r\n,"


class Element(NamedTuple):
    """The bytes of one element. line, offset: of its first byte. error: why it was not cut out whole."""

    content: bytes
    line: int
    offset: int
    error: str


class Cutter:
    """Feeds on bytes and gives elements: the members of one array, or values one after the other."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.most = reading, reading.limits.row_bytes
        self.buffer = bytearray()
        self.base, self.line = reading.start, 1  # of the first byte of the buffer
        self.scan = 0  # the buffer is looked at up to here
        self.depth, self.inside = 0, False  # open brackets of the element, and whether a string is open
        self.array = self.begun = self.ended = False
        # Of an element above the limit: bytes let go, its first bytes, and where it began
        self.dropped, self.kept, self.begin_line, self.begin = 0, b"", 1, 0

    def feed(self, chunk: bytes) -> Iterator[Element]:
        """The elements that end in these bytes."""
        self.buffer += chunk
        if not self.begun and not self._begin():
            return
        while (element := self._next()) is not None:
            yield element
        if (self.depth or self.inside) and len(self.buffer) > self.most:
            self._let_go()

    def _begin(self) -> bool:
        """Find out whether this is an array."""
        head = bytes(self.buffer[: len(BOM)])
        start = len(BOM) if head == BOM else 0
        while start < len(self.buffer) and self.buffer[start] in BLANK:
            start += 1
        if start == len(self.buffer):
            return False
        self.begun, self.array = True, self.buffer[start] == ord("[")
        self._forget(start + 1 if self.array else start)
        return True

    def _next(self) -> Element | None:
        """The next whole element, or None when more bytes are needed."""
        while not self.ended:
            if self.inside:
                end = STRING_END.match(self.buffer, self.scan)
                if end is None:
                    self.scan = len(self.buffer) - _odd_backslashes(self.buffer, self.scan)
                    return None
                self.inside, self.scan = False, end.end()
                if self.depth == 0:
                    return self._element(self.scan)
            if self.depth == 0 and not self._at_element():
                return None
            if self.depth == 0 and self.buffer[0] not in b'{["':
                return self._scalar()
            token = TOKEN.search(self.buffer, self.scan)
            if token is None:
                self.scan = len(self.buffer)
                return None
            sign, self.scan = self.buffer[token.start()], token.end()
            if sign in b"{[":
                self.depth += 1
            elif sign in b"}]":
                self.depth -= 1
            else:
                self.inside = token.end() - token.start() == 1
            if self.depth == 0 and not self.inside:
                return self._element(self.scan)
        return None

    def _at_element(self) -> bool:
        """Pass over what stands between elements; whether one begins here. Ends at the end of the array."""
        start = 0
        while start < len(self.buffer) and self.buffer[start] in BLANK:
            start += 1
        self._forget(start)
        if self.array and self.buffer.startswith(b"]"):
            self.ended = True
            self._forget(1)
        return bool(self.buffer) and not self.ended

    def _scalar(self) -> Element | None:
        """A number, a word or rubbish: no object, but a row by itself."""
        end = SCALAR_END.search(self.buffer, 1)
        if end is None and len(self.buffer) <= self.most:
            return None
        return self._element(end.start() if end else len(self.buffer))

    def _element(self, end: int) -> Element:
        content = bytes(self.buffer[:end])
        error = ""
        if self.dropped or end > self.most:
            error = f"an object of more than limits.row_bytes={self.most}; raise it to read such rows"
            content = self.kept if self.dropped else content[: SHOWN * 4]
        line, offset = (self.begin_line, self.begin) if self.dropped else (self.line, self.base)
        self.dropped = 0
        self._forget(end)
        return Element(content, line, offset, error)

    def _let_go(self) -> None:
        """Free an element that is above the limit, but for its start."""
        if not self.dropped:
            self.kept, self.begin, self.begin_line = bytes(self.buffer[: SHOWN * 4]), self.base, self.line
        self.dropped += self.scan
        self._forget(self.scan)

    def _forget(self, size: int) -> None:
        self.line += self.buffer.count(b"\n", 0, size)
        self.base += size
        del self.buffer[:size]
        self.scan = max(0, self.scan - size)

    def finish(self) -> Iterator[Element]:
        """What is left at the end of the file. Raises BadData when it stops in the middle."""
        if not self.depth and not self.inside:
            self._forget(len(self.buffer) - len(self.buffer.lstrip()))
        rest = bytes(self.buffer).strip()
        name = self.reading.name
        if self.array and not self.ended:
            raise BadData(
                f"{name}: the JSON array ends in line {self.line} at byte {self.base + len(self.buffer)} without `]`: "
                "the file is truncated, or a bracket or quote is missing; fetch or mend it"
            )
        if self.ended and rest:
            raise BadData(
                f"{name}: something follows the JSON array in line {self.line}; one array a file, or one object a "
                "line and `format: jsonl`"
            )
        if rest:
            yield Element(rest, self.line, self.base, "")


def elements(reading: Reading) -> Iterator[Element]:
    """Elements of the array in a stream, or its values, one after the other, when it is none.

    Raises BadData when the array does not end, or is not the end.
    """
    cutter = Cutter(reading)
    if reading.encoding != "utf-8":
        raise BadData(f"{reading.name}: a JSON array is read as UTF-8 or UTF-16; convert it to JSON lines")
    while chunk := reading.stream.read(CHUNK):
        yield from cutter.feed(chunk)
    yield from cutter.finish()


def _odd_backslashes(buffer: bytearray, start: int) -> int:
    """1 when the buffer ends with an escape that is not whole, else 0."""
    count = 0
    while len(buffer) - count > start and buffer[-1 - count] == ord("\\"):
        count += 1
    return count % 2
