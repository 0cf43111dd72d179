"""Geometry of the histogram of document lengths: from counts to SVG coordinates. No I/O."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.report.chart import Tick, nice_ticks
from tasks.report.numbers import short, show

WIDTH, HEIGHT = 400.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 12.0, 12.0, 40.0
GAP = 0.14  # share of a bin that is left free
MOST_LABELS = 8


@dataclass(frozen=True)
class Column:
    """One bin: place, top and height of both parts, and what it says under the pointer."""

    x: float
    kept_top: float
    kept_height: float
    dropped_top: float
    dropped_height: float
    text: str


@dataclass(frozen=True)
class Histogram:
    """Stacked columns, kept below dropped, ready to draw; rows are the same numbers as text."""

    unit: str
    columns: list[Column]
    column_width: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    rows: list[list[str]]
    summary: str
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM


def histogram(bins: Sequence[Mapping[str, Any]], unit: str) -> Histogram | None:
    """Lay out documents by length. None without documents.

    bins: {tokens, kept, dropped} with rising ``tokens``, each from there to twice as many; 0 is a bin of its own.
    Bins that are not there are empty. unit: of lengths, "words" or "tokens".
    """
    counts = {_place(int(one["tokens"])): (int(one["kept"]), int(one["dropped"])) for one in bins}
    if not any(map(sum, counts.values())):
        return None
    places = range(min(counts), max(counts) + 1)
    y_ticks = [value for value in nice_ticks(0, max(map(sum, counts.values()))) if value == int(value)]
    width = (WIDTH - RIGHT - LEFT) / len(places)
    scale = (HEIGHT - BOTTOM - TOP) / y_ticks[-1]
    columns, base = [], HEIGHT - BOTTOM
    for index, place in enumerate(places):
        kept, dropped = counts.get(place, (0, 0))
        high, low = scale * kept, scale * dropped
        columns.append(
            Column(
                x=round(LEFT + (index + GAP / 2) * width, 2),
                kept_top=round(base - high, 2),
                kept_height=round(high, 2),
                dropped_top=round(base - high - low, 2),
                dropped_height=round(low, 2),
                text=f"{_range(place)} {unit}: {show(kept)} kept, {show(dropped)} dropped",
            )
        )
    every = math.ceil(len(places) / MOST_LABELS)
    labelled = list(enumerate(places))[::every]
    return Histogram(
        unit=unit,
        columns=columns,
        column_width=round(width * (1 - GAP), 2),
        x_ticks=[Tick(round(LEFT + index * width, 2), short(_start(place))) for index, place in labelled],
        y_ticks=[Tick(round(base - scale * value, 2), short(int(value))) for value in y_ticks],
        rows=[[_range(place), *map(show, counts.get(place, (0, 0)))] for place in places],
        summary="; ".join(column.text for column in columns) + ".",
    )


def _place(tokens: int) -> int:
    """Number of the bin: 0, then 1 for 1, 2 for 2 and 3, 3 for 4 to 7."""
    return tokens.bit_length()


def _start(place: int) -> int:
    return (1 << place) >> 1


def _range(place: int) -> str:
    first, last = _start(place), (1 << place) - 1
    return show(first) if first >= last else f"{show(first)}–{show(last)}"
