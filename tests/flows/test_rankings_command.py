"""`plumbline rankings`: what a user sees when rankings change their layout."""

import json
from pathlib import Path

import pytest

from flows.rankings import convert, export
from tasks.failures import BadConfig, BadData
from tasks.rankings import RankedPrompt, Ranking, write_rankings

ROW = {"prompt": "q", "candidates": ["a", "b", "c"], "ranks": [1, 1, 2], "annotator": "ann"}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    lines = [ROW, {**ROW, "annotator": "bob"}, ROW, {**ROW, "ranks": [1, 1]}, {**ROW, "ranks": [2, 1]}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_what_is_lost_and_what_is_rejected_is_said(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs.jsonl"
    convert(rows, "auto", "pairs", out, [], "")
    said = capsys.readouterr().out.splitlines()
    rejects = tmp_path / "pairs.jsonl.rejected.jsonl"
    assert said == [
        "rows.jsonl: 1 prompts, 3 answers, 2 rankings",
        "left out: 1 rankings that repeat another one",
        f"rejected: 2 (2 not one rank a candidate); see {rejects}",
        f"{out}: 4 rows, layout pairs",
        "pairs cannot hold: 2 annotators' names, 2 tied pairs",
        "",
        f"next: plumbline plan RECIPE   (with {{path: {out}, format: pairs}} among its rank.sources)",
    ]
    assert [json.loads(line)["line"] for line in rejects.read_text().splitlines()] == [4, 5]
    assert json.loads(out.read_text().splitlines()[0]) == {"prompt": "q", "chosen": "a", "rejected": "c"}


def test_an_array_and_back(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argilla, own = tmp_path / "records.json", tmp_path / "own.jsonl.gz"
    convert(rows, "auto", "argilla", argilla, [], "")
    assert len(json.loads(argilla.read_text())) == 1
    convert(argilla, "auto", "own", own, [], "")
    assert "cannot hold" not in capsys.readouterr().out


def test_columns_by_name(tmp_path: Path) -> None:
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text(json.dumps({"ask": "q", "yes": "a", "no": "b"}))
    convert(file, "pairs", "own", out, ["prompt=ask", "chosen=yes", "rejected=no"], "mine")
    assert json.loads(out.read_text()) == {"prompt": "q", "candidates": ["a", "b"], "ranks": [1, 2], "origin": "mine"}


def test_answers_judged_alone_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    judged = [("q", "a", True), ("q", "b", False), ("r", "c", True)]
    lines = [{"prompt": prompt, "completion": answer, "label": label} for prompt, answer, label in judged]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    convert(file, "auto", "own", tmp_path / "out.jsonl", [], "")
    assert "left out: 1 answers that were judged alone" in capsys.readouterr().out


def test_a_rankings_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [
        RankedPrompt([{"role": "user", "content": text}], ["a", "b"], [Ranking([1, 2], origin="people")])
        for text in ("q", "r")
    ]
    write_rankings(tmp_path, "train", items[:1])
    write_rankings(tmp_path, "heldout", items[1:])
    export(str(tmp_path), "own", tmp_path / "all.jsonl", "all")
    assert capsys.readouterr().out.startswith(f"{tmp_path}: 2 prompts, 4 answers, 2 rankings\n")
    export(str(tmp_path), "own", tmp_path / "heldout.jsonl", "heldout")
    row = {"prompt": "r", "candidates": ["a", "b"], "ranks": [1, 2], "origin": "people"}
    assert json.loads((tmp_path / "heldout.jsonl").read_text()) == row


def test_what_cannot_be_done_is_refused(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(BadConfig, match="--to 'best-first': choose one of own, hh"):
        convert(rows, "auto", "best-first", out, [], "")
    with pytest.raises(BadConfig, match="--from 'word': Input should be 'auto'"):
        convert(rows, "word", "own", out, [], "")
    with pytest.raises(BadConfig, match="--field 'prompt': write it as NAME=COLUMN"):
        convert(rows, "auto", "own", out, ["prompt"], "")
    with pytest.raises(BadConfig, match=r"name it \.jsonl"):
        convert(rows, "auto", "own", tmp_path / "out.csv", [], "")
    with pytest.raises(BadConfig, match="no such folder"):
        convert(rows, "auto", "own", tmp_path / "no" / "out.jsonl", [], "")
    with pytest.raises(BadConfig, match="is there already"):
        convert(rows, "auto", "own", rows, [], "")
    with pytest.raises(BadData, match="no rankings; the first of 5: line 1: `chosen` is not a text"):
        convert(rows, "pairs", "own", out, [], "")
    with pytest.raises(BadConfig, match="--split 'test'"):
        export(str(tmp_path), "own", out, "test")
    assert not out.exists()
