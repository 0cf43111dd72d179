"""Geometry of the charts and the words for numbers."""

import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.chart import LEFT, RIGHT, TOP, WIDTH, condense, line_chart, nice_ticks, running_mean
from tasks.report.curves import charts, points
from tasks.report.numbers import change, percent, show

VALUES = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


@given(VALUES, VALUES)
def test_ticks_cover_the_data_in_equal_steps(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    ticks = nice_ticks(low, high)
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    slack = 1e-6 * max(abs(low), abs(high), 1e-6)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 7
    assert all(math.isclose(step, steps[0], rel_tol=1e-3, abs_tol=slack) for step in steps)


def test_ticks_are_round() -> None:
    assert nice_ticks(0.3, 9.1) == [0.0, 2.5, 5.0, 7.5, 10.0]
    assert nice_ticks(0.52, 0.9) == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert nice_ticks(5, 5) == [4.5, 4.75, 5.0, 5.25, 5.5]


def test_condensed_points_are_means_of_neighbours() -> None:
    assert condense([(1, 10), (2, 20), (3, 60)], limit=2) == [(1.5, 15.0), (3.0, 60.0)]
    assert condense([(1, 10), (2, 20)], limit=2) == [(1, 10), (2, 20)]


def test_running_mean_keeps_the_ends() -> None:
    means = running_mean([(1, 8.0), (2, 2.0), (3, 2.0), (4, 5.0)], reach=5)
    assert means == [(1, 8.0), (2, 4.0), (3, 3.0), (4, 5.0)]


@given(st.lists(VALUES, min_size=1, max_size=700))
def test_everything_drawn_lies_inside_the_frame(values: list[float]) -> None:
    chart = line_chart("Loss", "nats", "step", "", {"training": list(enumerate(values, start=1))})
    for line in chart.lines:
        if len(values) > 1:
            pairs = re.findall(r"[ML](\S+?) ([^LM]+)", line.path)
            assert len(pairs) == min(len(values), math.ceil(len(values) / math.ceil(len(values) / 240)))
            assert all(LEFT <= float(x) <= WIDTH - RIGHT for x, _ in pairs)
            assert all(TOP - 0.01 <= float(y) <= chart.bottom + 0.01 for _, y in pairs)
        assert len(line.dots) <= 40


def test_axes_place_known_values() -> None:
    chart = line_chart("Reward", "score", "iteration", "", {"rollouts": [(1, 0.0), (3, 10.0)]})
    assert [tick.label for tick in chart.y_ticks] == ["0.0", "2.5", "5.0", "7.5", "10.0"]
    assert chart.lines[0].path == f"M{LEFT} {chart.bottom}L{WIDTH - RIGHT} {TOP}"
    assert chart.legend == [("s1", "rollouts")]
    assert chart.rows == [["1", "0"], ["3", "10.00"]]
    assert chart.summary == "rollouts: 0 score at iteration 1, 10.00 at iteration 3; lowest 0, highest 10.00."


def test_small_rates_keep_distinct_labels() -> None:
    for peak in (1e-3, 3e-4, 2e-5, 9.65e-6):
        chart = line_chart("Learning rate", "", "step", "", {"learning rate": [(1, peak / 20), (2, peak)]})
        labels = [tick.label for tick in chart.y_ticks]
        assert len(set(labels)) == len(labels), labels
        assert max(map(len, labels)) <= 7


def test_columns_become_the_charts_they_belong_to() -> None:
    rows = [
        {"step": n, "reward": 1.0, "kl": n, "clip_fraction": 0.1, "value_clip_fraction": 0.2, "odd": 3} for n in (1, 2)
    ]
    known, others = charts("ppo", rows)
    assert [chart.title for chart in known] == ["Reward", "KL from the fine-tuned model", "Clip fraction"]
    assert known[2].columns == ["policy ratio", "value"]
    assert [(chart.title, chart.meaning) for chart in others] == [("odd", "Recorded by the stage as odd.")]


def test_what_is_no_finite_number_is_left_out() -> None:
    rows = [
        {"step": 2, "loss": 1},
        {"step": 1, "loss": math.nan},
        {"step": 3, "loss": None},
        {"step": 4, "loss": True},
    ]
    assert points([*rows, {"loss": 5.0}, {"step": 0, "loss": 7.5}], "loss") == [(0.0, 7.5), (2.0, 1.0)]
    assert charts("pretrain", [{"step": 1, "loss": math.inf}]) == ([], [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1404.2, "1,404"),
        (0.0, "0"),
        (-2.125, "\u22122.12"),
        (1.69, "1.69"),
        (0.875, "0.875"),
        (131.25, "131.2"),
        (9.65e-6, "9.7e-6"),
        (2e-5, "2e-5"),
        (873211, "873,211"),
        (True, "yes"),
        (None, "–"),
        (math.nan, "–"),
        ("", "–"),
        ([1, 2.5], "1, 2.50"),
    ],
)
def test_numbers_as_text(value: object, text: str) -> None:
    assert show(value) == text


def test_shares_and_changes_as_text() -> None:
    assert [percent(share) for share in (0.875, 1, 0.0208, None)] == [
        "87.5\u00a0%",
        "100\u00a0%",
        "2.1\u00a0%",
        "–",
    ]
    assert [change(4.0, 5.25), change(2, 0.5), change(None, 1)] == ["+1.25", "\u22121.50", ""]
