"""Files that are one document: plain text and HTML pages."""

from collections.abc import Iterator

from tasks.formats.lines import BOM
from tasks.formats.reading import Reading
from tasks.formats.row import Row


def text_rows(reading: Reading) -> Iterator[Row]:
    """A text file is one row {"text": …}. Bytes that are no text make it a bad one, with the line of the first."""
    content = _whole(reading)
    if content is None:
        yield reading.too_long(1, "a text file", b"", 0)
        return
    text, error = reading.decode(content)
    if text is not None and "\0" in text:
        at = text.index("\0")
        yield reading.bad(text.count("\n", 0, at) + 1, f"NUL at character {at}: not text", content, 0)
    elif text is None:
        at = _bad_byte(content, reading.encoding)
        yield reading.bad(content.count(b"\n", 0, at) + 1, error, content, 0)
    else:
        yield reading.good(1, {"text": text}, 0)


def html_rows(reading: Reading) -> Iterator[Row]:
    """A page is one row {"html": …}; its encoding is the one of its own declaration, unless one is set."""
    from tasks.formats.main_text import decode_html

    content = _whole(reading)
    if content is None:
        yield reading.too_long(1, "a page", b"", 0)
    else:
        # UTF-8 is the default of the setting, and no statement about the page
        said = "" if reading.encoding == "utf-8" else reading.encoding
        yield reading.good(1, {"html": decode_html(content, said)}, 0)


def _whole(reading: Reading) -> bytes | None:
    """The file without a byte-order mark, or None when it is longer than a row may be."""
    content = reading.stream.read(reading.limits.row_bytes + 1)
    return None if len(content) > reading.limits.row_bytes else content.removeprefix(BOM)


def _bad_byte(content: bytes, encoding: str) -> int:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    return 0
