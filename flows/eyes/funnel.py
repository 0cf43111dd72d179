"""What became of the documents: read, dropped by one step after the other, kept; with tokens where they are counted."""

import json
from dataclasses import dataclass
from typing import Any

from flows.eyes.svg import draw
from tasks.report.corpus import Left, counted_in, left_after
from tasks.report.numbers import aligned_percent, percent, show, words

FILE = "report.json"
# In the order in which the stage works; a reason that is not named here comes before the duplicates
FIRST = ("too_short", "too_long", "few_letters", "many_symbols", "short_words", "long_words")
LAST = ("exact_duplicate", "near_duplicate")


@dataclass(frozen=True)
class Step:
    """One bar: shares of all documents that remain and that were dropped here, and the numbers.

    tokens, token_share: what is left of them, where they are counted.
    """

    label: str
    remains: float
    dropped: float
    text: str
    lost: str = ""
    strong: bool = False
    tokens: str = ""
    token_share: float = 0.0


def funnel(text: str) -> str | None:
    """The funnel as SVG, from the corpus artifact's report; None when nothing was read."""
    report = json.loads(text)
    rows = steps(report)
    return draw("funnel", rows=rows, unit=counted_in(report)) if rows else None


def steps(report: dict[str, Any]) -> list[Step]:
    """Read, what each step left, kept. The counts add up; the corpus stage sees to that.

    A report that was made before it held a funnel has one step a reason, and no tokens.
    """
    if left_rows := left_after(report):
        return _with_tokens(left_rows)
    totals = report.get("totals", {})
    total = totals.get("documents_in", 0)
    if not total:
        return []
    dropped = {"unreadable": totals.get("quarantined", 0)} | _ordered(report.get("reasons", {}))
    left = total
    rows = [Step("documents read", 1.0, 0.0, show(total), strong=True)]
    for reason, count in dropped.items():
        if count:
            left -= count
            lost = f"−{show(count)}, {percent(count / total)}"
            rows.append(Step(words(reason), left / total, count / total, show(left), lost))
    kept = totals.get("kept", left)
    rows.append(Step("kept", kept / total, 0.0, f"{show(kept)}, {percent(kept / total)}", strong=True))
    if held := totals.get("heldout", 0):
        rows.append(Step("of these held out", held / total, 0.0, f"{show(held)}, for measuring", strong=True))
    return rows


def _with_tokens(rows: list[Left]) -> list[Step]:
    total = max(rows[0].documents, 1)
    tokens = max(next((row.tokens for row in rows if row.tokens), 1), 1)
    return [
        Step(
            row.label,
            min(row.documents / total, 1.0),  # repeated sources can make training longer than what was read
            row.dropped / total,
            show(row.documents),
            f"−{show(row.dropped)}, {aligned_percent(row.dropped / total)}" if row.dropped else "",
            row.label in ("Read", "Kept"),
            show(row.tokens),
            min((row.tokens or 0) / tokens, 1.0),
        )
        for row in rows
    ]


def _ordered(reasons: dict[str, int]) -> dict[str, int]:
    def place(reason: str) -> tuple[int, int, str]:
        if reason in FIRST:
            return 0, FIRST.index(reason), reason
        return (2, LAST.index(reason), reason) if reason in LAST else (1, 0, reason)

    return {reason: reasons[reason] for reason in sorted(reasons, key=place)}
