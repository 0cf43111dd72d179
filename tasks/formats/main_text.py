"""HTML bytes to text, and the text to its main part, without menus, advertisements and footers."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from tasks.failures import BadConfig

MISSING = "HTML needs `pip install 'plumbline[web]'`"
# resiliparse takes more than a minute for 50,000 open elements; browsers stop at 512
DEEPEST = 1000
TAG = re.compile(
    r"<(/?)(?:div|span|b|i|u|em|strong|font|a|ul|ol|table|section|article|center|blockquote)\b", re.IGNORECASE
)
SNIFFED = 4096  # bytes at the start of a page in which its encoding must be declared; browsers look at 1,024


def decode_html(content: bytes, said: str = "") -> str:
    """Text of an HTML page. Its encoding is, in this order: a byte-order mark, what was said (HTTP header or
    setting), the page's own declaration, valid UTF-8, and what it looks like (uchardet).

    Names are those of the WHATWG: latin-1 means windows-1252. Bytes that still do not fit become U+FFFD.
    """
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, errors="replace")
    encodings = _encodings()
    for label in (said, _declared(content)):
        name = encodings.map_encoding_to_html5(label, fallback_utf8=False) if label else None
        if name:
            return _decoded(content, name)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(content, encodings.detect_encoding(content))


def _decoded(content: bytes, name: str) -> str:
    # GB 18030 holds all of GBK. Windows-1252 takes any bytes, so it is no second choice
    name = "gb18030" if name == "gbk" else name
    return str(_encodings().bytes_to_str(content, name, errors="replace", fallback_encodings=["utf-8"]))


def _declared(content: bytes) -> str:
    """The charset of a page's meta element, or of its XML declaration."""
    found = re.search(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w:.-]{1,40})""", content[:SNIFFED], re.IGNORECASE)
    found = found or re.match(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w:.-]{1,40})""", content[:SNIFFED])
    name = found.group(1).decode("ascii").lower() if found else ""
    # The declaration was read as ASCII, so it cannot be in UTF-16 (HTML standard, 13.2.3.2)
    return "utf-8" if name.startswith("utf-16") else name


def main_text(html: str, extractor: str) -> str:
    """The main text of a page, empty when there is none. extractor: resiliparse (fast) or trafilatura (careful).

    Raises BadConfig when it is not installed, ValueError when the page is nested as no page for people is.
    """
    if html.count("<") > DEEPEST and _depth(html) > DEEPEST:
        raise ValueError(f"more than {DEEPEST} elements inside one another")
    return EXTRACTORS[extractor](html)


def _depth(html: str) -> int:
    """How deep elements that need an end tag lie inside one another, at most."""
    depth = deepest = 0
    for tag in TAG.finditer(html):
        depth = max(0, depth - 1) if tag.group(1) else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _resiliparse(html: str) -> str:
    _encodings()
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(html, main_content=True, preserve_formatting=True, alt_texts=False))


def _trafilatura(html: str) -> str:
    try:
        import trafilatura
    except ImportError as error:
        raise BadConfig(MISSING) from error
    # fast: without asking other extractors for a second opinion, which made the text no better (docs/corpus/formats.md)
    return trafilatura.extract(html, include_comments=False, fast=True) or ""


EXTRACTORS: dict[str, Callable[[str], str]] = {"resiliparse": _resiliparse, "trafilatura": _trafilatura}


@cache
def _encodings() -> Any:
    try:
        import resiliparse.parse.encoding as encodings
    except ImportError as error:
        raise BadConfig(MISSING) from error
    return encodings
