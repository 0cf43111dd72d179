"""Markdown as the Prefect UI renders it. Text from data or models goes through `plain` or `code`: it stays text.

Found in the real UI: numeric entities and HTML in cells are shown as they are written, backslash escapes work, cells
are never wrapped, and an image artifact prints its whole data URI below the picture, an image in Markdown does not.
"""

import base64
import re
import textwrap
from collections.abc import Sequence

PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+.!|~&:@$^=-])")  # whatever can be markup or make a link


def plain(text: str) -> str:
    """Text that means nothing to a Markdown renderer: no link, no image, no HTML; one line."""
    return PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """One line in a monospaced font, for paths, digests and commands. Fit for table cells."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "¦") + "`"


def block(text: str) -> str:
    """Lines as they are, in a box."""
    fence = "~" * 3
    while fence in text:
        fence += "~"
    return f"{fence}text\n{text}\n{fence}"


def folded(text: str, width: int = 96) -> str:
    """Long lines folded, for a message in a box, which does not wrap."""
    return "\n".join(line for part in text.splitlines() for line in textwrap.wrap(part, width) or [""])


def wrapped(text: str, width: int, limit: int) -> str:
    """Text of at most ``limit`` characters in lines of ``width``, for a table cell; cells are not wrapped there."""
    short = text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
    lines = [line for part in short.splitlines() for line in textwrap.wrap(part, width, break_on_hyphens=False) or [""]]
    return "<br>".join(plain(line) for line in lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of cells that are Markdown already. right: columns that hold numbers."""
    rule = ["--:" if column in right else ":--" for column in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [list(head), rule, *rows])


def image(name: str, svg: str) -> str:
    """A drawing inside the page; nothing is loaded from elsewhere."""
    return f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode('ascii')})"
