"""JSON objects, one a line or in one array, to rows."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from tasks.formats.json_elements import elements
from tasks.formats.lines import BOM, read_lines
from tasks.formats.reading import Reading, encoding_name
from tasks.formats.row import Row

_decode = msgspec.json.Decoder().decode
HEAD = 4096


def jsonl_rows(reading: Reading) -> Iterator[Row]:
    """One object a line. Blank lines are no rows."""
    utf8 = reading.encoding == "utf-8"
    for line in read_lines(reading):
        if not line.whole:
            yield reading.too_long(line.number, "a line", line.content, line.offset)
            continue
        content = line.content.rstrip()
        if not content:
            continue
        values, error = parse_json(content) if utf8 else _parse_other(content, reading)
        if values is None:
            yield reading.bad(line.number, error, line.content, line.offset)
        else:
            yield reading.good(line.number, values, line.offset)


def json_rows(reading: Reading) -> Iterator[Row]:
    """Objects of one array, objects one after the other over any number of lines, or one object a line."""
    if is_lines(_peek(reading)):
        yield from jsonl_rows(reading)
        return
    for element in elements(reading):
        if element.error:
            yield reading.bad(element.line, element.error, element.content, element.offset)
            continue
        values, error = parse_json(element.content)
        if values is None:
            yield reading.bad(element.line, error, element.content, element.offset)
        else:
            yield reading.good(element.line, values, element.offset)


def is_lines(head: bytes) -> bool:
    """Whether the first bytes of a .json file are of one value a line: no array, and no object laid out over lines."""
    first, _, more = head.removeprefix(BOM).lstrip().partition(b"\n")
    if first.startswith(b"["):
        return False
    laid_out = first.startswith(b"{") and more.startswith((b" ", b"\t", b"\r", b"\n", b'"'))
    return not laid_out or parse_json(first)[0] is not None


def _peek(reading: Reading) -> bytes:
    peek: Any = reading.stream
    return bytes(peek.peek(HEAD)[:HEAD])


def parse_json(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """One JSON object in UTF-8 as (values, ""), or (None, reason).

    What the fast parser refuses goes to the standard library, which takes more (NaN) and says better what is wrong.
    """
    try:
        values = _decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _parse_slowly(line)
    if not isinstance(values, dict):
        return None, f"not a JSON object but {type(values).__name__}"
    return values, ""


def _parse_slowly(line: bytes) -> tuple[dict[str, Any] | None, str]:
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


def _parse_other(line: bytes, reading: Reading) -> tuple[dict[str, Any] | None, str]:
    """An object in another encoding than UTF-8."""
    try:
        return parse_json(line.decode(reading.encoding).encode("utf-8"))
    except UnicodeDecodeError as error:
        return None, f"invalid {encoding_name(reading.encoding)} at byte {error.start}"


def _encodable(values: dict[str, Any]) -> bool:
    try:
        json.dumps(values, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
