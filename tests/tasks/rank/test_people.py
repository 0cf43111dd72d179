"""Candidates ranked by people: the sheet, what comes back, target and deadline."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.schema.rank import PeopleConfig, RankConfig
from tasks.candidate_rows import Candidates, write_candidates
from tasks.chat import user
from tasks.failures import BadConfig, BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank.build import build_rankings
from tasks.rank.desk import Desk, TooFew
from tasks.rank.people import prompts_ranked, read_people, returned, sheet
from tasks.rankings import Ranking, read_rankings

CANDIDATES = [Candidates(user(f"q{n}"), ["a", "b", "b", f"c{n}"], 0) for n in range(4)]
CANDIDATES.append(Candidates(user("alone"), ["same", "same"], 0))
Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """A sheet with the first ``count`` rows ranked, and changes of single rows by number."""

    def filled(count: int, name: str = "filled.jsonl", **changes: dict[str, Any]) -> Path:
        rows = [json.loads(line) for line in sheet(CANDIDATES)]
        for number, row in enumerate(rows):
            row["ranks"] = [2, 1, 2] if number < count else []
            row.update(changes.get(f"row{number}", {}))
        file = tmp_path / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return file

    return filled


def desk(folder: Path, **asked: Any) -> Desk:
    return Desk(folder / "desk", CANDIDATES, PeopleConfig(**asked))


def test_the_sheet_asks_for_each_different_answer_once() -> None:
    rows = [json.loads(line) for line in sheet(CANDIDATES)]
    assert rows[0] == {"prompt": "q0", "candidates": ["a", "b", "c0"], "ranks": []}
    assert [row["prompt"] for row in rows] == ["q0", "q1", "q2", "q3"]


def test_ranked_rows_come_back_and_the_others_are_not_there_yet(fill: Fill) -> None:
    items = read_people(fill(2, row3={"ranks": [None, None, None]}), CANDIDATES, "ann")
    assert [item.rankings for item in items] == [[Ranking([2, 1, 2], "ann", "people")]] * 2
    assert prompts_ranked(items * 2) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": "other"}, r"filled\.jsonl:1: the prompt 'other' is not one of the candidates'"),
        ({"candidates": ["a", "b", "mine"]}, r"filled\.jsonl:1: 'mine' is not an answer that was given out"),
        ({"ranks": [1, 2]}, r"filled\.jsonl:1: not one rank a candidate: 3 candidates, but ranks \[1, 2\]"),
        ({"ranks": [1, 2, "3"]}, "are not whole numbers"),
        ({"annotator": 7}, "`annotator` is not a name"),
    ],
)
def test_a_wrong_row_is_named_with_line_and_reason(fill: Fill, change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadData, match=said):
        read_people(fill(4, row0=change), CANDIDATES)


def test_a_row_that_is_no_json_is_named(fill: Fill) -> None:
    file = fill(1)
    file.write_text(file.read_text(encoding="utf-8") + "{\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"filled\.jsonl:5: invalid JSON"):
        read_people(file, CANDIDATES)


def test_what_was_accepted_reads_the_same_again(fill: Fill, tmp_path: Path) -> None:
    items = read_people(fill(3, row1={"annotator": "bo"}), CANDIDATES, "ann")
    kept = tmp_path / "kept.jsonl"
    kept.write_text("".join(returned(items)), encoding="utf-8")
    assert read_people(kept, CANDIDATES) == items


def test_nothing_is_ready_before_the_target_is_reached(fill: Fill, tmp_path: Path) -> None:
    asked = desk(tmp_path, target=3)
    asked.give_out()
    assert asked.ready() is None
    with pytest.raises(TooFew, match="2 of 3 prompts are ranked"):
        asked.take(fill(2))
    assert asked.ready() is None
    assert asked.take(fill(3), "ann") == asked.accepted == asked.ready()
    assert len(asked.read(asked.accepted)) == 3


def test_a_full_sheet_is_enough_and_is_never_written_over(fill: Fill, tmp_path: Path) -> None:
    asked = desk(tmp_path)
    asked.give_out()
    content = fill(4).read_bytes()
    asked.sheet.write_bytes(content)
    asked.give_out()
    assert asked.sheet.read_bytes() == content
    assert asked.ready() == asked.accepted
    asked.sheet.unlink()
    assert asked.ready() == asked.accepted, "people are asked once"


def test_a_named_file_is_taken_or_refused(fill: Fill, tmp_path: Path) -> None:
    assert desk(tmp_path, path=str(fill(4))).ready()
    with pytest.raises(BadData, match=r"nowhere\.jsonl: no such file"):
        desk(tmp_path, path="nowhere.jsonl").ready()


def test_a_target_beyond_the_candidates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"rank\.people\.target=9, but the candidates hold 4 prompts"):
        desk(tmp_path, target=9).ready()


def at_the_deadline(tmp_path: Path, **asked: Any) -> Desk:
    late = desk(tmp_path, deadline_hours=1, **asked)
    late.give_out()
    (late.folder / "asked.json").write_text('{"time": 0}', encoding="utf-8")
    return late


def test_the_deadline_fails_by_default(fill: Fill, tmp_path: Path) -> None:
    late = at_the_deadline(tmp_path)
    late.sheet.write_bytes(fill(2).read_bytes())
    with pytest.raises(BadData, match=r"deadline of 1 h .* has passed: .* 2 of 4 prompts .*on_deadline=use"):
        late.ready()
    assert not desk(tmp_path, deadline_hours=1e6).late


def test_the_deadline_can_use_what_is_there(fill: Fill, tmp_path: Path) -> None:
    late = at_the_deadline(tmp_path, on_deadline="use")
    with pytest.raises(BadData, match="0 of 4 prompts are ranked"):
        late.ready()
    late.sheet.write_bytes(fill(2).read_bytes())
    assert late.ready() == late.accepted
    assert len(late.read(late.accepted)) == 2


def test_the_stage_reads_what_people_ranked(fill: Fill, tmp_path: Path) -> None:
    write_candidates(tmp_path, CANDIDATES)
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    config = RankConfig(ranker="people", people=PeopleConfig(path="given"), seed=0)
    inputs = Inputs(folders={"candidates": tmp_path}, sources={"given": [fill(4, row0={"annotator": "bo"})]})
    assert build_rankings(config, inputs, out, Live(work))["prompts"] == 4
    items = read_rankings(out, "train") + read_rankings(out, "heldout")
    assert {ranking.annotator for item in items for ranking in item.rankings} == {"", "bo"}
    with pytest.raises(BadConfig, match=r"rank\.people\.path is empty"):
        build_rankings(RankConfig(ranker="people", seed=0), inputs, out, Live(work))
