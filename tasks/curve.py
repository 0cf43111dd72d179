"""The training curve of a stage: what goes into ``training/curve.jsonl``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROWS = 200  # a curve has about this many rows at most


class Curve:
    """Rows of step and values, each the mean over the steps since the row before; ``lr`` is the last one's.

    A part of the checkpoint: the rows after a resume are those of an uninterrupted run.
    """

    def __init__(self, steps: int, state: dict[str, Any] | None = None) -> None:
        self._steps = steps
        self._every = max(1, steps // ROWS)
        self._rows: list[dict[str, float]] = list(state["rows"]) if state else []
        self._pending: list[dict[str, float]] = list(state["pending"]) if state else []

    def add(self, step: int, **values: float) -> None:
        """Values of the step that has just been finished; the first step is 1."""
        self._pending.append(values)
        if step % self._every and step != self._steps:
            return
        mean = {name: sum(row[name] for row in self._pending) / len(self._pending) for name in values}
        if "lr" in values:
            mean["lr"] = values["lr"]
        self._rows.append({"step": step, **{name: float(f"{value:.6g}") for name, value in mean.items()}})
        self._pending = []

    def state(self) -> dict[str, Any]:
        """JSON values for a checkpoint."""
        return {"rows": self._rows, "pending": self._pending}

    @property
    def rows(self) -> list[dict[str, float]]:
        return self._rows

    def write(self, out: Path) -> None:
        """Write ``training/curve.jsonl`` into an artifact."""
        write_rows(out / "training" / "curve.jsonl", self._rows)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
