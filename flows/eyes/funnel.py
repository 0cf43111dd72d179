"""What became of the documents: read, dropped by one filter after the other, kept."""

import json
from dataclasses import dataclass
from typing import Any

from flows.eyes.svg import draw
from tasks.report.numbers import percent, show, words

FILE = "report.json"
# In the order in which the stage works; a reason that is not named here comes before the duplicates
FIRST = ("too_short", "too_long", "few_letters", "many_symbols", "short_words", "long_words")
LAST = ("exact_duplicate", "near_duplicate")


@dataclass(frozen=True)
class Step:
    """One bar: shares of all documents that remain and that were dropped here, and the numbers."""

    label: str
    remains: float
    dropped: float
    text: str
    lost: str = ""


def funnel(text: str) -> str | None:
    """The funnel as SVG, from the corpus artifact's report; None when nothing was read."""
    rows = steps(json.loads(text))
    return draw("funnel", rows=rows) if rows else None


def steps(report: dict[str, Any]) -> list[Step]:
    """Read, what each filter left, kept. The counts add up; the corpus stage sees to that."""
    totals = report.get("totals", {})
    total = totals.get("documents_in", 0)
    if not total:
        return []
    dropped = {"unreadable": totals.get("quarantined", 0)} | _ordered(report.get("reasons", {}))
    left = total
    rows = [Step("documents read", 1.0, 0.0, show(total))]
    for reason, count in dropped.items():
        if count:
            left -= count
            lost = f"−{show(count)}, {percent(count / total)}"
            rows.append(Step(words(reason), left / total, count / total, show(left), lost))
    kept = totals.get("kept", left)
    rows.append(Step("kept", kept / total, 0.0, f"{show(kept)}, {percent(kept / total)}"))
    if held := totals.get("heldout", 0):
        rows.append(Step("of these held out", held / total, 0.0, f"{show(held)}, for measuring"))
    return rows


def _ordered(reasons: dict[str, int]) -> dict[str, int]:
    def place(reason: str) -> tuple[int, int, str]:
        if reason in FIRST:
            return 0, FIRST.index(reason), reason
        return (2, LAST.index(reason), reason) if reason in LAST else (1, 0, reason)

    return {reason: reasons[reason] for reason in sorted(reasons, key=place)}
