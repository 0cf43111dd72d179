"""What a training stage went through: its ``training/curve.jsonl`` as charts in one drawing."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flows.eyes.svg import draw
from tasks.report.chart import Chart
from tasks.report.curves import charts

FILE = "training/curve.jsonl"
TRAINED = ("pretrain", "finetune", "reward", "ppo", "trl")
# stage → the charts that tell most of a whole run
TELLING = {
    "pretrain": ("Loss",),
    "finetune": ("Loss",),
    "reward": ("Loss", "Pair accuracy"),
    "ppo": ("Reward", "KL from the fine-tuned model"),
    "trl": ("Reward", "Margin", "KL from the fine-tuned model"),
}
CHARACTER = 6.4  # width of one in the legend, in the drawing's units
LINE = 58  # characters of a line below a chart


def curves(stage: str, text: str) -> str | None:
    """The charts of a stage with a known meaning, in the report's order, as SVG; None when nothing was recorded.

    text: the lines of the file.
    """
    return _drawing(_charts(stage, text))


def telling_curves(files: Mapping[str, str]) -> str | None:
    """One drawing of a whole run: the most telling charts of each stage. files: stage → lines of its file."""
    found = []
    for stage, titles in TELLING.items():
        known = {chart.title: chart for chart in _charts(stage, files.get(stage, ""))}
        found += [replace(known[title], title=f"{stage}: {title}") for title in titles if title in known]
    return _drawing(found)


def _charts(stage: str, text: str) -> list[Chart]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.strip()]
    return charts(stage, rows)[0] if rows else []


def _drawing(found: Sequence[Chart]) -> str | None:
    if not found:
        return None
    return draw("curves", charts=[(chart, _legend(chart), textwrap.wrap(chart.meaning, LINE)[:2]) for chart in found])


def _legend(chart: Chart) -> list[tuple[str, str, float]]:
    """(look, name, x) of each entry, side by side; the mean of a line that has just been named needs no name."""
    placed: list[tuple[str, str, float]] = []
    x = 0.0
    for look, name in chart.legend:
        again = bool(placed) and placed[-1][0] == f"{look} faint"
        short = name.rpartition(", ")[2] if again else name
        placed.append((look, short, round(x, 1)))
        x += 26 + len(short) * CHARACTER + 16
    return placed
