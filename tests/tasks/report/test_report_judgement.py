"""The reward model's judgement on the page: its tables, pictures and errors, escaped; nothing where there is none."""

import json
import random
from pathlib import Path

import pytest
from jinja2 import Environment

from tasks.chat import user
from tasks.rankings import RankedPrompt, Ranking
from tasks.report.build import _environment
from tasks.report.judgement import judgement
from tasks.reward.judgement import judge

ATTACK = "<script>alert('x')</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A judgement as the reward stage makes it, of an ensemble, with two origins."""
    rng = random.Random(0)
    items = [
        RankedPrompt(
            user(f"{ATTACK} {n}"),
            ["a" * (n % 7 + 1), "b" * (n % 5 + 8), "c" * 20],
            [Ranking([1, 2, 3], origin=("people", "judge:m")[n % 2], annotator=f"ann{n % 20}")],
        )
        for n in range(60)
    ]
    scores = [[[-rank + rng.gauss(0, 2) for _ in range(3)] for rank in range(3)] for _ in items]
    (tmp_path / "judgement.json").write_text(json.dumps(judge(items, scores, [1.0] * 3, 0)), encoding="utf-8")
    return tmp_path


def test_every_part_is_drawn_and_escaped(folder: Path) -> None:
    found = judgement(folder)
    assert found is not None
    assert [row.name for row in found.overall] == ["reward model", "length alone (shorter wins)", "scores at random"]
    assert found.overall[0].pairs == "180"
    tables = dict(found.tables)
    assert [row.name for row in tables["ranks apart"]] == ["1", "2"]
    assert len(tables["annotator"]) == 12
    assert "answers a prompt" not in tables  # one row alone says nothing
    environment: Environment = _environment()
    page = environment.get_template("judgement.html.j2").render(judgement=found)
    assert "<script" not in page
    assert page.count("<svg viewBox") == 2
    for part in ("Calibration", "with a temperature", "Scores of the better", "judge:m", "95&nbsp;% interval"):
        assert part in page
    assert "The 3 members agree on" in page
    assert "Rank correlation of score and length" in page


def test_without_a_judgement_there_is_no_part(tmp_path: Path) -> None:
    assert judgement(tmp_path) is None
    assert judgement(None) is None
