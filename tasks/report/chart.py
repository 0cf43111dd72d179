"""Geometry of line charts: from numbers to SVG coordinates, which drawings.html.j2 draws. No I/O."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tasks.report.numbers import show

Point = tuple[float, float]
Scale = Callable[[float], float]

WIDTH, HEIGHT = 360.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 12.0, 12.0, 36.0
MOST_POINTS = 240  # a line has no more pixels to show them
HOVERED = 40  # targets a line that name their value under the pointer
SMOOTHED_FROM = 60  # shorter curves are drawn as they are


@dataclass(frozen=True)
class Tick:
    """A grid line: coordinate and label."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """One series: SVG path, hover targets as (x, y, text), look ("s1", "s2", … or with "faint")."""

    name: str
    look: str
    path: str
    dots: list[tuple[float, float, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """A line chart, ready to draw, with its words: alternative text, table, how to read it."""

    title: str
    unit: str
    x_unit: str
    meaning: str
    summary: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    legend: list[tuple[str, str]]
    columns: list[str]
    rows: list[list[str]]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers, about ``count`` of them, that cover [low, high] (Heckbert 1990, "Nice numbers")."""
    if high <= low:
        low, high = low - (abs(low) or 1) * 0.1, high + (abs(high) or 1) * 0.1
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def condense(points: Sequence[Point], limit: int = MOST_POINTS) -> list[Point]:
    """At most ``limit`` points, each the mean of equally many neighbours (the last of the rest)."""
    size = _chunk(points, limit)
    chunks = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in chunk) / len(chunk), sum(y for _, y in chunk) / len(chunk)) for chunk in chunks]


def _chunk(points: Sequence[Point], limit: int = MOST_POINTS) -> int:
    """How many neighbours make one drawn point."""
    return max(1, math.ceil(len(points) / limit))


def running_mean(points: Sequence[Point], reach: int) -> list[Point]:
    """Each y replaced by the mean of the points at most ``reach`` places to both sides.

    Towards the ends the window shrinks on both sides alike, so that first and last value stay what they are.
    """
    means = []
    for index, (x, _) in enumerate(points):
        near_by = min(reach, index, len(points) - 1 - index)
        near = points[index - near_by : index + near_by + 1]
        means.append((x, sum(y for _, y in near) / len(near)))
    return means


def line_chart(
    title: str, unit: str, x_unit: str, meaning: str, series: dict[str, list[Point]], *, noisy: bool = True
) -> Chart:
    """Lay out one chart. ``series``: name → points (x, y), x rising, at least one point in all.

    noisy: long curves are drawn faintly, with their running mean on top.
    """
    series = {name: points for name, points in series.items() if points}
    x_ticks, y_ticks = _axes(series)
    to_x = _scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT)
    to_y = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    lines, legend = [], []
    for index, (name, points) in enumerate(series.items(), start=1):
        drawn, look = condense(points), f"s{index}"
        label = "" if len(series) == 1 and name.lower() in title.lower() else name
        if noisy and len(drawn) >= SMOOTHED_FROM:
            each = f"each {x_unit}" if len(drawn) == len(points) else f"mean of {_chunk(points)} {x_unit}s"
            lines.append(Line(name, f"{look} faint", _path(drawn, to_x, to_y)))
            legend.append((f"{look} faint", _join(label, each)))
            drawn, label = running_mean(drawn, len(drawn) // 30), _join(label, "running mean")
        dots = _dots(drawn, _words(label or name, unit, x_unit), to_x, to_y)
        lines.append(Line(name, look, _path(drawn, to_x, to_y), dots))
        if label:
            legend.append((look, label))
    return Chart(
        title=title,
        unit=unit,
        x_unit=x_unit,
        meaning=meaning,
        summary=" ".join(_sentence(name, points, unit, x_unit) for name, points in series.items()),
        x_ticks=[Tick(to_x(value), show(_whole(value))) for value in x_ticks],
        y_ticks=[Tick(to_y(value), _tick(value, y_ticks)) for value in y_ticks],
        lines=lines,
        legend=legend,
        columns=list(series),
        rows=_table(series),
    )


def _axes(series: dict[str, list[Point]]) -> tuple[list[float], list[float]]:
    """Ticks of both axes. The x axis ends with the data, so that no curve seems to break off."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in condense(points)]
    low, high = min(xs), max(xs)
    if low == high:
        return [low - 1, low, low + 1], nice_ticks(min(ys), max(ys))
    room = 0.08 * (high - low)  # a label needs its place beside those of the ends
    inside = [value for value in nice_ticks(low, high) if low + room < value < high - room]
    return [low, *inside, high], nice_ticks(min(ys), max(ys))


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    """The linear map that takes low to start and high to end."""
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 2)


def _path(points: Sequence[Point], to_x: Scale, to_y: Scale) -> str:
    if len(points) == 1:  # a lone point shows as a round cap
        return f"M{to_x(points[0][0])} {to_y(points[0][1])}h.01"
    return "M" + "L".join(f"{to_x(x)} {to_y(y)}" for x, y in points)


def _dots(
    points: Sequence[Point], words: Callable[[float, float], str], to_x: Scale, to_y: Scale
) -> list[tuple[float, float, str]]:
    """Hover targets: place and words."""
    return [(to_x(x), to_y(y), words(x, y)) for x, y in _spread(points, HOVERED)]


def _words(label: str, unit: str, x_unit: str) -> Callable[[float, float], str]:
    """What a hover target says of its point."""
    return lambda x, y: f"{label}, {x_unit} {show(_whole(x))}: {show(y)} {unit}".rstrip()


def _join(label: str, what: str) -> str:
    return f"{label}, {what}" if label else what


def _spread(points: Sequence[Point], count: int) -> list[Point]:
    """``count`` points at equal distances, the first and the last among them."""
    if len(points) <= count:
        return list(points)
    return [points[round(index * (len(points) - 1) / (count - 1))] for index in range(count)]


def _whole(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _tick(value: float, ticks: Sequence[float]) -> str:
    """Labels of one axis share their number of decimals."""
    step = abs(ticks[1] - ticks[0])
    if step < 1e-4 and max(abs(ticks[0]), abs(ticks[-1])) < 1e-2:
        return show(float(value))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step * 10**decimals, 6) % 1:
        decimals += 1  # steps of 2.5
    return f"{value:,.{decimals}f}".replace("-", "\u2212")


def _sentence(name: str, points: Sequence[Point], unit: str, x_unit: str) -> str:
    first, last = points[0], points[-1]
    if len(points) == 1:
        return f"{name}: {show(first[1])} {unit} at {x_unit} {show(_whole(first[0]))}."
    low, high = min(y for _, y in points), max(y for _, y in points)
    return (
        f"{name}: {show(first[1])} {unit} at {x_unit} {show(_whole(first[0]))}, {show(last[1])} at {x_unit} "
        f"{show(_whole(last[0]))}; lowest {show(low)}, highest {show(high)}."
    )


def _table(series: dict[str, list[Point]], most: int = 11) -> list[list[str]]:
    """Up to ``most`` rows of x and every series' y at it, recorded values and not means."""
    values = {name: dict(points) for name, points in series.items()}
    longest = max(series.values(), key=len)
    return [[show(_whole(x)), *(show(values[name].get(x)) for name in series)] for x, _ in _spread(longest, most)]
