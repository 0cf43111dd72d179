"""The training curve: means over the steps between rows, the same after a resume."""

import json
from pathlib import Path

from tasks.curve import Curve


def test_rows_are_means_since_the_row_before(tmp_path: Path) -> None:
    curve = Curve(steps=401)  # a row every second step, and the last
    for step in range(1, 402):
        curve.add(step, loss=float(step), lr=1.0 / step)
    assert len(curve.rows) == 201
    assert curve.rows[:2] == [{"step": 2, "loss": 1.5, "lr": 0.5}, {"step": 4, "loss": 3.5, "lr": 0.25}]
    assert curve.rows[-1] == {"step": 401, "loss": 401.0, "lr": float(f"{1 / 401:.6g}")}
    curve.write(tmp_path)
    lines = (tmp_path / "training" / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == curve.rows


def test_a_short_run_has_every_step() -> None:
    curve = Curve(steps=3)
    for step in (1, 2, 3):
        curve.add(step, loss=0.1)
    assert [row["step"] for row in curve.rows] == [1, 2, 3]


def test_interrupted_anywhere_the_rows_are_the_same() -> None:
    whole = Curve(steps=600)
    for step in range(1, 601):
        whole.add(step, loss=1.0 / step)
    for stop in (1, 2, 3, 299, 599):
        parts = Curve(steps=600)
        for step in range(1, 601):
            parts.add(step, loss=1.0 / step)
            if step == stop:
                parts = Curve(600, json.loads(json.dumps(parts.state())))
        assert parts.rows == whole.rows


def test_a_value_that_a_step_does_not_have_is_left_out_of_the_mean() -> None:
    curve = Curve(steps=400)
    curve.add(1, loss=1.0)
    curve.add(2, loss=3.0, margin=5.0)
    assert curve.rows == [{"step": 2, "loss": 2.0, "margin": 5.0}]
