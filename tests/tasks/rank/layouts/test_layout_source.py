"""Files of a source: which layout they are in, renamed columns, what is set aside and why."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.schema.sources import RankingSource
from tasks.failures import BadData
from tasks.rank.layouts.item import Rejected, Unpaired
from tasks.rank.layouts.source import read_source
from tasks.rank.layouts.table import LAYOUTS, detect
from tasks.rankings import RankedPrompt

TREE = {"message_id": "1", "role": "prompter", "text": "q", "replies": []}
ROWS: dict[str, dict[str, Any]] = {
    "own": {"prompt": "q", "candidates": ["a", "b"], "ranks": [1, 2]},
    "hh": {"chosen": "c", "rejected": "r"},
    "pairs": {"prompt": "q", "chosen": "c", "rejected": "r"},
    "best-first": {"instruction": "q", "input": "", "output": ["a", "b"], "history": []},
    "oasst": {"message_tree_id": "1", "prompt": TREE, "tree_state": "ready"},
    "alpaca-eval": {"instruction": "q", "output_1": "a", "output_2": "b", "preference": 1},
    "ultrafeedback": {"instruction": "q", "completions": [{"response": "a", "overall_score": 1}]},
    "label-studio": {"data": {"prompt": "q"}, "annotations": []},
    "argilla": {"fields": {"prompt": "q"}, "responses": {}},
    "unpaired": {"prompt": "q", "completion": "a", "label": True},
}


def read(
    tmp_path: Path, rows: list[Any], file_name: str = "rows.jsonl", **settings: Any
) -> list[RankedPrompt | Unpaired | Rejected]:
    file = tmp_path / file_name
    if file_name.endswith(".json"):
        file.write_text(json.dumps(rows))
    else:
        file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return list(read_source(RankingSource(path="p", **settings), [file]))


@pytest.mark.parametrize("name", LAYOUTS)
def test_auto_goes_by_the_keys(name: str) -> None:
    if name == "pairs-chat":
        messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
        assert detect({"chosen": messages, "rejected": messages}, "f:1") == "pairs"
        return
    row = ROWS[name]
    assert detect(row, "f:1") == name
    # A table has every column in every row
    assert detect({**{key: None for each in ROWS.values() for key in each}, **row}, "f:1") == name


def test_unknown_keys_are_named() -> None:
    with pytest.raises(BadData, match=r"f:1: keys output, question are no known layout.*`fields`.*`format`"):
        detect({"question": "q", "output": "a"}, "f:1")


def test_rejected_rows_have_file_line_and_reason(tmp_path: Path) -> None:
    good = ROWS["own"]
    found = read(tmp_path, ["{not json", good, "", {**good, "ranks": [1]}])
    rejected = [row for row in found if isinstance(row, Rejected)]
    assert [(row.file, row.line) for row in rejected] == [("rows.jsonl", 1), ("rows.jsonl", 4)]
    assert rejected[0].reason == "invalid JSON"
    assert rejected[1].error == "not one rank a candidate: 2 candidates, but ranks [1]"
    assert rejected[1].reason == "not one rank a candidate"
    assert len(found) == 3


def test_columns_are_renamed_and_the_source_has_a_name(tmp_path: Path) -> None:
    row = {"q": {"text": "why?"}, "best": "a", "worst": "b"}
    fields = {"prompt": "q.text", "chosen": "best", "rejected": "worst"}
    [found] = read(tmp_path, [row], fields=fields, name="mine")
    assert isinstance(found, RankedPrompt)
    assert (found.prompt[0]["content"], found.candidates) == ("why?", ["a", "b"])
    assert found.rankings[0].origin == "mine"


def test_the_origin_of_own_rows_is_kept_unless_the_source_is_named(tmp_path: Path) -> None:
    rows = [{**ROWS["own"], "origin": "judge:m"}, ROWS["own"]]
    origins = [row.rankings[0].origin for row in read(tmp_path, rows) if isinstance(row, RankedPrompt)]
    assert origins == ["judge:m", "rows.jsonl"]
    origins = [row.rankings[0].origin for row in read(tmp_path, rows, name="x") if isinstance(row, RankedPrompt)]
    assert origins == ["x", "x"]


def test_comparisons_of_a_file_are_put_together_with_their_origin(tmp_path: Path) -> None:
    other = {**ROWS["alpaca-eval"], "output_2": "c", "preference": 2}
    [found] = read(tmp_path, [ROWS["alpaca-eval"], other], "annotations.json")
    assert isinstance(found, RankedPrompt)
    assert found.ranks == [[1, 2, 0], [2, 0, 1]]
    assert {ranking.origin for ranking in found.rankings} == {"annotations.json"}


def test_good_and_bad_answers_have_the_origin_of_their_file(tmp_path: Path) -> None:
    bad = {**ROWS["unpaired"], "completion": "b", "label": False}
    [found] = read(tmp_path, [ROWS["unpaired"], bad])
    assert isinstance(found, RankedPrompt)
    assert (found.ranks, found.rankings[0].origin) == ([[1, 2]], "rows.jsonl")
