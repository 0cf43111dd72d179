"""One form for text: NFC, line feeds, no control characters, no trailing blanks, one blank line at most."""

import re
import unicodedata

LINE_ENDS = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
# Tab and line feed stay; joiners (U+200C, U+200D) stay, since emoji and Indic scripts need them.
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff]")
BLANKS = " \t\u00a0\u3000"
BLANK_LINES = re.compile(r"\n{3,}")
PARAGRAPH, LINE, SENTENCE = re.compile(r"\n\n+"), re.compile(r"\n"), re.compile(r"(?<=[.!?。！？])\s*")


def normalise(text: str) -> str:
    """The normal form of a text; applying it twice changes nothing more."""
    if not text.replace("\n", "").isprintable():  # isprintable is far quicker than the two patterns
        text = CONTROLS.sub("", LINE_ENDS.sub("\n", text))
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    text = text.rstrip()
    # A pattern of blanks before a line end would take quadratic time on a long run of blanks inside a line.
    text = "\n".join([line.rstrip(BLANKS) for line in text.split("\n")])
    return BLANK_LINES.sub("\n\n", text).lstrip("\n")


def split_long(text: str, size: int | None) -> list[str]:
    """Cut a text of more than ``size`` characters at paragraph ends into pieces of about that size.

    A paragraph that is longer by itself is cut at line ends, then at sentence ends, then anywhere. No piece
    exceeds ``size``; only white space at the cuts is lost.
    """
    if size is None or len(text) <= size:
        return [text]
    return [piece for piece in (part.strip("\n") for part in _cut(text, size, (PARAGRAPH, LINE, SENTENCE))) if piece]


def _cut(text: str, size: int, ends: tuple[re.Pattern[str], ...]) -> list[str]:
    if len(text) <= size:
        return [text]
    if not ends:
        return [text[start : start + size] for start in range(0, len(text), size)]
    pieces: list[str] = []
    open_start = open_end = 0  # the piece being filled is text[open_start:open_end]
    for start, end in _spans(text, ends[0]):
        if end - open_start <= size:
            open_end = end
            continue
        if open_end > open_start:
            pieces.append(text[open_start:open_end])
        if end - start > size:
            pieces += _cut(text[start:end], size, ends[1:])
            open_start = open_end = end
        else:
            open_start, open_end = start, end
    if open_end > open_start:
        pieces.append(text[open_start:open_end])
    return pieces


def _spans(text: str, end: re.Pattern[str]) -> list[tuple[int, int]]:
    """Spans between the matches of ``end``; matches belong to none."""
    spans, start = [], 0
    for match in end.finditer(text):
        if match.start() > start:
            spans.append((start, match.start()))
        start = match.end()
    if start < len(text):
        spans.append((start, len(text)))
    return spans
