"""The guard of the PPO stage on the page: its state after every iteration, and what it said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.report.read import read_rows

STATES = {"ok": "ok", "warn": "warning", "stop": "limit passed"}


@dataclass(frozen=True)
class Stretch:
    """Iterations in a row with one state. ``share`` of the strip's width, in percent."""

    state: str
    words: str
    first: int
    last: int
    share: float
    reason: str
    roll_back_to: int


@dataclass(frozen=True)
class Guarded:
    """What the page shows: the worst state, the strip, and which policy was released."""

    state: str
    words: str
    stretches: list[Stretch]
    selected: str


def guarded(folder: Path, metrics: Mapping[str, Any]) -> Guarded | None:
    """From the artifact's guard.jsonl; None for one that has none. Raises BadData for a damaged line."""
    rows = [row for row in read_rows(folder / "guard.jsonl") if row.get("state") in STATES]
    if not rows:
        return None
    groups: list[list[Mapping[str, Any]]] = []
    for row in rows:
        if groups and groups[-1][-1]["state"] == row["state"]:
            groups[-1].append(row)
        else:
            groups.append([row])
    worst = max((row["state"] for row in rows), key=list(STATES).index)
    stretches = [_stretch(group, len(rows)) for group in groups]
    return Guarded(worst, STATES[worst], stretches, str(metrics.get("selected_why", "")))


def _stretch(group: Sequence[Mapping[str, Any]], total: int) -> Stretch:
    state, last = group[0]["state"], group[-1]
    return Stretch(
        state,
        STATES[state],
        int(group[0]["step"]),
        int(last["step"]),
        round(100 * len(group) / total, 3),
        str(last.get("reason", "")),
        int(last.get("roll_back_to", 0)),
    )
