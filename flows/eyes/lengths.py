"""Which languages the documents are in, and how long they are: two panels in one drawing."""

import json

from flows.eyes.svg import draw
from tasks.report.corpus import counted_in, languages
from tasks.report.histogram import histogram


def lengths(text: str) -> str | None:
    """The drawing as SVG, from the corpus artifact's report; None for a report that holds neither.

    Lengths alone when all documents are in one language.
    """
    report = json.loads(text)
    spoken, drawing = languages(report), histogram(report.get("lengths", []), counted_in(report))
    if drawing is None:
        return None
    return draw("lengths", languages=spoken, drawing=drawing)
