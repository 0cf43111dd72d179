"""Why documents were dropped, with an example of each reason, as a Markdown table."""

import json
import unicodedata

from flows.eyes.markdown import plain, table, wrapped
from tasks.report.corpus import reasons
from tasks.report.excerpts import example
from tasks.report.numbers import words

WIDTH, LIMIT = 64, 120  # characters of a line of an example, and of all of it


def rejects(text: str) -> str | None:
    """The table, from the corpus artifact's report; None for a report without examples."""
    report = json.loads(text)
    if not report.get("examples"):
        return None
    shown = {words(reason): example(rows[0]) for reason, rows in report["examples"].items() if rows}
    cells = []
    for row in reasons(report):
        one = shown.get(row.label)
        told = [plain(one.source), _lines(one.text)] if one else ["", ""]
        cells.append([plain(row.label), plain(row.count), plain(row.share), *told])
    return "\n\n".join(
        [
            table(["reason", "documents", "of all read", "for example, from", "its text"], cells, right=[1, 2]),
            "One of up to ten examples of each reason; the report has the others. Personal data is masked here.",
        ]
    )


def _lines(text: str) -> str:
    """The text in lines of equal width: a Chinese character takes two places."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return wrapped(text, WIDTH // (2 if 2 * wide > len(text) else 1), LIMIT)
