"""WARC files (ISO 28500:2017): pages that a crawler kept, and the plain text that Common Crawl makes of them (WET)."""

import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from tasks.failures import BadData
from tasks.formats.main_text import decode_html
from tasks.formats.reading import Reading
from tasks.formats.row import Row

HEADER_LINE, HEADER_LINES = 64 << 10, 1000
SKIP = 1 << 20
KINDS = {"response", "conversion"}  # a resource is, from wget, its own log
PAGES = {"text/html", "application/xhtml+xml"}
CHARSET = re.compile(r"""charset\s*=\s*["']?([\w:.-]+)""", re.IGNORECASE)


class Payload(NamedTuple):
    """What a record holds. media: type without parameters. charset: as said, or empty."""

    media: str
    charset: str
    content: bytes


class Unusable(Exception):
    """A record that should hold a page and cannot be read; the message is the reason."""


class Counter:
    """A stream that knows how far it was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.offset = stream, 0

    def line(self) -> bytes:
        content = self.stream.readline(HEADER_LINE)
        self.offset += len(content)
        return content

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.offset += len(content)
        return content

    def skip(self, size: int) -> int:
        """Bytes passed over; fewer than asked for at the end of the file."""
        left = size
        while left and (piece := self.read(min(left, SKIP))):
            left -= len(piece)
        return size - left


def warc_rows(reading: Reading) -> Iterator[Row]:
    """Pages as {"html", "url", "date"}, plain text as {"text", "url", "date"}; line is the number of the record.

    Rows are the records of type response and conversion that hold HTML or plain text and that the server
    answered with success. Requests, metadata, redirections, images and the like are no documents and no rows.
    Raises BadData when the file is cut off, or is no WARC file.
    """
    stream = Counter(reading.stream)
    number = 0
    while (start := _next_record(stream, reading)) is not None:
        number += 1
        headers = _headers(stream)
        try:
            size = int(headers.get("content-length", ""))
        except ValueError:
            size = -1
        if size < 0:
            raise BadData(
                f"{reading.name}: the record at byte {start} has Content-Length "
                f"{headers.get('content-length', '(none)')!r}: where the next begins is unknown; fetch the file again"
            )
        url = headers.get("warc-target-uri", "").strip("<>")
        if headers.get("warc-type", "").lower() not in KINDS or size > reading.limits.row_bytes:
            wanted = headers.get("warc-type", "").lower() in KINDS
            if stream.skip(size) < size:
                raise _cut_off(reading, start)
            if wanted:
                yield reading.too_long(number, "a record", url.encode(), start)
            continue
        block = stream.read(size)
        if len(block) < size:
            raise _cut_off(reading, start)
        try:
            values = _values(headers, block, reading.limits.row_bytes)
        except Unusable as error:
            yield reading.bad(number, str(error), url.encode(), start)
            continue
        if values is not None:
            yield reading.good(number, {**values, "url": url, "date": headers.get("warc-date", "")}, start)


def _next_record(stream: Counter, reading: Reading) -> int | None:
    """Offset of the next record, its version line read; None at the end."""
    while True:
        start = stream.offset
        line = stream.line()
        if not line:
            return None
        if not line.strip():
            continue
        if not line.startswith(b"WARC/"):
            raise BadData(
                f"{reading.name}: no WARC record at byte {start} but {line[:40]!r}: the file is damaged, or another "
                "format; fetch it again, or set `format` of the source"
            )
        return start


def _headers(stream: Counter) -> dict[str, str]:
    """Names in lower case and values, up to the blank line."""
    found: dict[str, str] = {}
    for _ in range(HEADER_LINES):
        line = stream.line()
        if not line.strip():
            break
        name, _, value = line.decode("utf-8", errors="replace").partition(":")
        found[name.strip().lower()] = value.strip()
    return found


def _values(headers: dict[str, str], block: bytes, most: int) -> dict[str, Any] | None:
    """The page or text of a record, or None when it is neither."""
    said = headers.get("content-type", "")
    payload: Payload | None
    if said.lower().startswith("application/http"):
        payload = _http(block, most)
    else:
        payload = Payload(_media(said), _charset(said), block)
    if payload is None:
        return None
    if payload.media in PAGES or (not payload.media and b"<html" in payload.content[:1024].lower()):
        return {"html": decode_html(payload.content, payload.charset)}
    if payload.media == "text/plain":
        return {"text": decode_html(payload.content, payload.charset)}
    return None


def _http(block: bytes, most: int) -> Payload | None:
    """The body of an HTTP answer as the server meant it; None for redirections, errors and what is no text."""
    head, _, body = block.partition(b"\r\n\r\n")
    lines = head.decode("iso-8859-1").split("\r\n")
    status = lines[0].split(" ")
    if len(status) < 2 or not status[0].startswith("HTTP/") or not status[1].startswith("2"):
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    said = headers.get("content-type", "")
    if _media(said) not in PAGES | {"text/plain", ""}:
        return None
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    return Payload(_media(said), _charset(said), _decompressed(body, headers.get("content-encoding", ""), most))


def _unchunked(body: bytes) -> bytes:
    """Chunks joined (RFC 9112, 7.1). Common Crawl joins them and leaves the header: what is not chunked stays."""
    pieces: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at, at + 100)
        size = re.match(rb"\s*([0-9a-fA-F]{1,8})\s*(?:;|$)", body[at:end]) if end >= 0 else None
        if size is None:
            return b"".join(pieces) if pieces else body
        length = int(size.group(1), 16)
        if length == 0:
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + length])
        at = end + 2 + length + 2


def _decompressed(body: bytes, encoding: str, most: int) -> bytes:
    """Body without its Content-Encoding. Crawlers that decompress leave the header: what is not packed stays."""
    encoding = encoding.strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate") and body[:1] in (b"\x1f", b"\x78"):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            content = unpacker.decompress(body, most + 1)
        except zlib.error as error:
            raise Unusable(f"the {encoding} body is damaged ({error})") from error
        if len(content) > most:
            raise Unusable(f"a page that unpacks to more than limits.row_bytes={most}; raise it to read such rows")
        if not unpacker.eof:
            raise Unusable(f"the {encoding} body is truncated")
        return content
    if encoding in ("br", "zstd") and not body.lstrip()[:1] == b"<":
        raise Unusable(f"Content-Encoding {encoding} is not read; let the crawler ask for gzip or identity")
    return body


def _cut_off(reading: Reading, start: int) -> BadData:
    return BadData(f"{reading.name}: the record at byte {start} is cut off; fetch the file again")


def _media(said: str) -> str:
    return said.partition(";")[0].strip().lower()


def _charset(said: str) -> str:
    found = CHARSET.search(said)
    return found.group(1).lower() if found else ""
