"""Formats of rankings: what is read, what is set aside and why."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from configs.schema.sources import RankingSource
from tasks.failures import BadData
from tasks.rank.read import Rejected, detect, read_hh, read_oasst, read_ranking, read_source
from tasks.rankings import RankedPrompt, Ranking

H, A = "\n\nHuman: ", "\n\nAssistant: "


def read(tmp_path: Path, rows: list[Any], format: str = "auto") -> list[RankedPrompt | Rejected]:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return list(read_source(RankingSource(path="p", format=format), [file]))


def test_one_and_several_annotators() -> None:
    row: dict[str, Any] = {"prompt": "Why?", "candidates": ["a", "b", "c"], "ranks": [2, 1, 2]}
    found = next(read_ranking(row, "f"))
    assert found == RankedPrompt(
        [{"role": "user", "content": "Why?"}], ["a", "b", "c"], [Ranking([2, 1, 2], origin="f")]
    )
    assert next(read_ranking({**row, "ranks": [[1, 2, 3], [3, 2, 1]]}, "f")).ranks == [[1, 2, 3], [3, 2, 1]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"candidates": "ab"}, "`candidates` is not a list"),
        ({"candidates": ["a", 1]}, "`candidates` is not a list"),
        ({"ranks": []}, "`ranks` is not a list"),
        ({"ranks": [1]}, r"2 candidates, but ranks \[1\]"),
        ({"ranks": [[1, 2], [1]]}, r"2 candidates, but ranks \[1\]"),
        ({"ranks": [1, 2.5]}, "not whole numbers"),
        ({"ranks": [1, True]}, "not whole numbers"),
        ({"prompt": ""}, "needs a role"),
        ({"prompt": 3}, "neither a text nor a list"),
        ({"prompt": [{"role": "narrator", "content": "x"}]}, "needs a role"),
        ({"prompt": [{"role": "assistant", "content": "x"}]}, "ends with an assistant turn"),
        ({"candidates": ["a", "a"]}, "1 different candidates"),
    ],
)
def test_malformed_rankings_are_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read_ranking({"prompt": "q", "candidates": ["a", "b"], "ranks": [1, 2], **change}, "f"))


def test_hh_transcripts() -> None:
    found = next(read_hh({"chosen": f"{H}q{A}a{H}r{A}good", "rejected": f"{H}q{A}a{H}r{A}bad"}, "f"))
    assert [turn["content"] for turn in found.prompt] == ["q", "a", "r"]
    assert [turn["role"] for turn in found.prompt] == ["user", "assistant", "user"]
    assert (found.candidates, found.ranks) == (["good", "bad"], [[1, 2]])


@pytest.mark.parametrize(
    ("chosen", "rejected", "why"),
    [
        (f"{H}q{A}a", f"{H}other{A}b", "different prompts"),
        (f"{H}q{A}", f"{H}q{A}b", "last reply of chosen is empty"),
        (f"{H}q{A}a", f"{H}q{A}  ", "last reply of rejected is empty"),
        (f"{H}q{A}a{H}r", f"{H}q{A}b", "`chosen` does not end with an Assistant turn"),
        (f"{H}{A}a", f"{H}{A}b", "a turn of the prompt is empty"),
        ("hello", f"{H}q{A}b", "does not begin with a Human turn"),
        (f"{A}a", f"{A}b", "does not begin with a Human turn"),
        (1, f"{H}q{A}b", "`chosen` is not a text"),
        (f"{H}q{A}a", f"{H}q{A}a", "1 different candidates"),
    ],
)
def test_malformed_transcripts_are_refused(chosen: Any, rejected: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read_hh({"chosen": chosen, "rejected": rejected}, "f"))


def node(role: str, text: str, rank: int | None = None, *replies: dict[str, Any]) -> dict[str, Any]:
    return {"message_id": text, "role": role, "text": text, "rank": rank, "replies": list(replies)}


def test_oasst_takes_every_node_with_two_ranked_replies() -> None:
    deeper = node("prompter", "q2", None, node("assistant", "x", 1), node("assistant", "y", 0))
    alone = node("prompter", "q3", None, node("assistant", "z", 0))
    gone = {**node("assistant", "gone", 3), "deleted": True}
    root = node(
        "prompter",
        "q",
        None,
        node("assistant", "a", 1, deeper),
        node("assistant", "b", 0, alone),
        node("assistant", "c"),
        gone,
    )
    found = list(read_oasst({"prompt": root}, "f"))
    assert [(item.candidates, item.ranks) for item in found] == [(["a", "b"], [[2, 1]]), (["x", "y"], [[2, 1]])]
    assert [turn["content"] for turn in found[1].prompt] == ["q", "a", "q2"]
    assert [turn["role"] for turn in found[1].prompt] == ["user", "assistant", "user"]


@pytest.mark.parametrize("tree", [None, {"role": "prompter", "text": ""}, {"role": "x", "text": "y"}])
def test_malformed_trees_are_refused(tree: Any) -> None:
    with pytest.raises(ValueError, match="message"):
        list(read_oasst({"prompt": tree}, "f"))
    with pytest.raises(ValueError, match="not a list of messages"):
        list(read_oasst({"prompt": {**node("prompter", "q"), "replies": ["x"]}}, "f"))


def test_rejected_rows_have_file_line_and_reason(tmp_path: Path) -> None:
    good = {"prompt": "q", "candidates": ["a", "b"], "ranks": [1, 2]}
    found = read(tmp_path, ["{not json", good, "", {**good, "ranks": [1]}])
    rejected = [row for row in found if isinstance(row, Rejected)]
    assert [(row.file, row.line) for row in rejected] == [("rows.jsonl", 1), ("rows.jsonl", 4)]
    assert rejected[0].error.startswith("invalid JSON")
    assert rejected[1].error == "2 candidates, but ranks [1]"
    assert len(found) == 3


def test_auto_goes_by_the_keys() -> None:
    assert detect({"prompt": "q", "candidates": [], "ranks": []}, "f:1") == "rankings"
    assert detect({"chosen": "c", "rejected": "r"}, "f:1") == "hh"
    assert detect({"prompt": node("prompter", "q"), "tree_state": "ready"}, "f:1") == "oasst"
    with pytest.raises(BadData, match=r"f:1: keys output, question are no known format.*`format`"):
        detect({"question": "q", "output": "a"}, "f:1")


def real_rows(folder: Path, name: str) -> list[RankedPrompt | Rejected]:
    file = folder / "prefs" / name
    if not file.is_file():
        pytest.skip(f"no {name}")
    return list(read_source(RankingSource(path="p"), [file]))


@pytest.mark.real
def test_hh_harmless_test_counts(real_data: Path) -> None:
    found = real_rows(real_data, "hh_rlhf_harmless_test.jsonl.gz")
    rejected = [row for row in found if isinstance(row, Rejected)]
    # Exact for this file of 1,149 pairs: checked by splitting both transcripts by hand
    assert Counter(row.error for row in rejected) == {
        "chosen and rejected have different prompts": 3,
        "the last reply of chosen is empty": 2,
    }
    assert [row.line for row in rejected] == [248, 459, 833, 964, 965]
    assert len(found) - len(rejected) == 1144


@pytest.mark.real
def test_oasst_tree_counts(real_data: Path) -> None:
    found = real_rows(real_data, "oasst_en_tree.jsonl.gz")
    assert not any(isinstance(row, Rejected) for row in found)
    sizes = Counter(len(row.candidates) for row in found if isinstance(row, RankedPrompt))
    assert sizes == {2: 31, 3: 60, 4: 15, 5: 1, 6: 5, 9: 1}


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("PLUMBLINE_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PLUMBLINE_TEST_DATA names no folder")
    return Path(folder)
