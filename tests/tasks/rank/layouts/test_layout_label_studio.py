"""Label Studio's JSON export of List and Ranker. The tasks have the shape of the LLM Ranker template's."""

from collections import Counter
from typing import Any

import pytest

from tasks.rank.layouts.item import Flaw
from tasks.rank.layouts.label_studio import read, write
from tasks.rankings import RankedPrompt, Ranking

ITEMS = [{"id": "llm_1", "title": "LLM 1", "body": "a"}, {"id": "llm_2", "title": "LLM 2", "body": "b"}]


def annotation(order: Any, by: Any = 1, **more: Any) -> dict[str, Any]:
    result = {"value": {"ranker": order}, "id": "x", "from_name": "rank", "to_name": "answers", "type": "ranker"}
    return {"id": 9, "completed_by": by, "result": [{**result, "origin": "manual"}], "was_cancelled": False, **more}


def task(*annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "data": {"prompt": "q", "items": ITEMS, **data},
        "annotations": list(annotations),
        "predictions": [],
        "drafts": [],
    }


def only(row: dict[str, Any]) -> RankedPrompt:
    [found] = read(row, "f")
    assert isinstance(found, RankedPrompt)
    return found


def test_several_annotators_of_a_task() -> None:
    email = {"id": 2, "email": "ann@example.org", "first_name": "", "last_name": ""}
    found = only(
        task(annotation({"rank": ["llm_2", "llm_1"]}, 7, lead_time=12.5), annotation(["llm_1", "llm_2"], email))
    )
    assert found.candidates == ["a", "b"]
    assert found.rankings == [
        Ranking([2, 1], annotator="7", origin="f", seconds=12.5),
        Ranking([1, 2], annotator="ann@example.org", origin="f"),
    ]


def test_what_stays_in_the_list_is_not_ranked() -> None:
    three = [*ITEMS, {"id": 3, "body": "c"}]
    found = only(task(annotation({"_": ["llm_2"], "relevant": [3, "llm_1"]}), items=three))
    assert found.ranks == [[2, 0, 1]]


def test_a_prediction_is_a_ranking_by_its_model() -> None:
    row = task(annotation({"rank": ["llm_2", "llm_1"]}))
    row["predictions"] = [{**annotation({"rank": ["llm_1", "llm_2"]}), "model_version": "judge-1"}]
    assert [(each.annotator, each.ranks) for each in only(row).rankings] == [("1", [2, 1]), ("judge-1", [1, 2])]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (annotation({"rank": ["llm_2", "llm_1"]}, was_cancelled=True), "an annotation was skipped by its annotator: 1"),
        (annotation({"a": ["llm_1"], "b": ["llm_2"]}), "items are in several buckets, which have no order: a, b"),
        (annotation({"rank": ["llm_1", "llm_1"]}), "a ranking names an item twice, or one that the task has not"),
        (annotation({"rank": ["llm_1", "llm_9"]}), "a ranking names an item twice, or one that the task has not"),
        (annotation({"rank": ["llm_1"]}), "fewer than 2 items are ranked: 1 by 1"),
        (annotation({"_": ["llm_1", "llm_2"]}), "fewer than 2 items are ranked: 0 by 1"),
        ({**annotation({}), "result": []}, "an annotation has not one result of a ranker: 0 by 1"),
        (annotation({"rank": ["llm_1", "llm_2"]}, lead_time=float("nan")), "`lead_time` is not a finite number"),
    ],
)
def test_a_bad_annotation_leaves_the_others(bad: dict[str, Any], why: str) -> None:
    flaw, found = read(task(bad, annotation({"rank": ["llm_1", "llm_2"]}, 5)), "f")
    assert isinstance(flaw, Flaw)
    assert flaw.error.startswith(why)
    assert isinstance(found, RankedPrompt)
    assert [each.annotator for each in found.rankings] == ["5"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (task(), "nobody has annotated this task"),
        ({"data": 1, "annotations": []}, "`data` is not the data of a task"),
        (task(annotation([]), items=[]), "not one list of items with an id each: none"),
        (task(annotation([]), items=[ITEMS[0], ITEMS[0]]), "two items have one id"),
        (task(annotation([]), items=[ITEMS[0], {"id": 2, "body": " "}]), r"`items\[1\]` is empty"),
        (task(annotation([]), prompt=""), "a message of `prompt`"),
    ],
)
def test_malformed_tasks_are_refused(row: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read(row, "f"))


def test_ties_cannot_be_held() -> None:
    lost: Counter[str] = Counter()
    rankings = [Ranking([1, 1, 2]), Ranking([2, 0, 1], annotator="ann")]
    [row] = write(RankedPrompt([{"role": "user", "content": "q"}], ["a", "b", "c"], rankings, ["x", "y", "z"]), lost)
    assert lost["rankings with ties"] == 1
    [kept] = row["annotations"]
    assert kept["completed_by"] == {"email": "ann"}
    assert kept["result"][0]["value"] == {"ranker": {"rank": ["answer-3", "answer-1"]}}
    # Annotators see id, title and body; the names of the models are elsewhere
    assert row["data"]["items"][0] == {"id": "answer-1", "title": "answer-1", "body": "a"}
    assert row["data"]["models"] == ["x", "y", "z"]
