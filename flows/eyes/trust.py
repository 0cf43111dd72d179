"""How far to trust the rankings, as Markdown tables."""

import json

from flows.eyes.markdown import plain, table
from tasks.report.trust import ANNOTATOR_COLUMNS, annotators, position, summary

FILE = "trust.json"
MOST = 20  # annotators in the table


def trust(text: str) -> str | None:
    """The page, from the rankings artifact's trust report; None when it holds nothing to show."""
    report = json.loads(text)
    measured, people = summary(report), annotators(report)
    if not measured:
        return None
    parts = [
        f"**{plain(str(one['name']))}** {plain('; '.join(one['reasons']))}" for one in report.get("flagged", [])[:MOST]
    ]
    rows = [[plain(label), *map(plain, cells)] for label, cells in measured]
    parts.append(table(["measure", "value", "95 % interval", "by chance"], rows, right=[1, 2, 3]))
    if people:
        rows = [[plain(name), *map(plain, cells)] for name, cells in people[:MOST]]
        parts.append(table(["annotator", *ANNOTATOR_COLUMNS], rows, right=list(range(1, len(ANNOTATOR_COLUMNS) + 1))))
    if len(people) > MOST:
        parts.append(f"And {len(people) - MOST} more annotators, in the report.")
    if told := position(report["position"]):
        parts.append(plain(told))
    return "\n\n".join(parts)
