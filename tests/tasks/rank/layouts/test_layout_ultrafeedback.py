"""Scores of several completions."""

from collections import Counter
from typing import Any

import pytest

from tasks.rank.layouts.ultrafeedback import read, write
from tasks.rankings import RankedPrompt, Ranking


def completion(text: str, overall: Any, help: str = "3", **more: Any) -> dict[str, Any]:
    marks = {"helpfulness": {"Rating": help, "Rationale": "x", "Type": ["1"]}, "honesty": {"Rating": "N/A"}}
    return {"model": f"m-{text}", "response": text, "overall_score": overall, "annotations": marks, **more}


def test_the_overall_score_makes_the_ranks() -> None:
    row = {"instruction": "q", "completions": [completion("a", 7.5), completion("b", 9, "5"), completion("c", "7.5")]}
    [found] = read(row, "f")
    [ranking] = found.rankings
    assert found.models == ["m-a", "m-b", "m-c"]
    assert (ranking.ranks, ranking.ratings) == ([2, 1, 2], [7.5, 9.0, 7.5])
    assert ranking.axes == {"helpfulness": [3, 5, 3]}


def test_without_an_overall_score_the_marks_count() -> None:
    row = {"instruction": "q", "completions": [completion("a", None, "2"), completion("b", None, "4")]}
    assert next(read(row, "f")).rankings[0].ratings == [2.0, 4.0]
    row["completions"] = [completion("a", None, "2", **{"fine-grained_score": 4.25}), completion("b", None, "4")]
    assert next(read(row, "f")).ranks == [[1, 2]]


def test_a_completion_without_any_score_is_not_ranked() -> None:
    bare = {"response": "b", "overall_score": None}
    [found] = read({"instruction": "q", "completions": [completion("a", 1), bare, completion("c", 2)]}, "f")
    assert (found.ranks, found.rankings[0].ratings) == ([[2, 0, 1]], [])


def test_generations_with_ratings() -> None:
    row = {"instruction": "q", "generations": ["a", "b"], "ratings": [4.0, 5], "generation_models": ["x", "y"]}
    [found] = read(row, "f")
    assert (found.ranks, found.models, found.rankings[0].ratings) == ([[2, 1]], ["x", "y"], [4.0, 5.0])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            {"completions": [completion("a", 1), completion("b", float("nan"))]},
            "`overall_score` is not a finite number",
        ),
        ({"completions": [completion("a", 1), completion("b", "good")]}, "`overall_score` is not a finite number"),
        ({"completions": [completion("a", 1), completion(" ", 2)]}, r"`completions\[1\]` is empty"),
        ({"completions": [{"response": "a"}, {"response": "b"}]}, "fewer than 2 completions have a score: 0 of 2"),
        ({"completions": ["a", "b"]}, "not a list of completions"),
        ({"completions": [completion("a", 1), completion("a", 2)]}, "1 different candidates"),
        ({"generations": ["a"], "ratings": [1, 2]}, "not lists of one length"),
    ],
)
def test_malformed_rows_are_refused(row: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read({"instruction": "q", **row}, "f"))


def test_scores_made_of_ranks_are_counted() -> None:
    lost: Counter[str] = Counter()
    user = [{"role": "user", "content": "q"}]
    rankings = [Ranking([2, 1, 0]), Ranking([1, 2, 3], ratings=[1, 2, 3]), Ranking([1, 2, 3], ratings=[3, 2, 1])]
    rows = list(write(RankedPrompt(user, ["a", "b", "c"], rankings), lost))
    scores = [[each["overall_score"] for each in row["completions"]] for row in rows]
    assert scores == [[1.0, 2.0, None], [3.0, 2.0, 1.0], [3, 2, 1]]
    assert lost["rankings whose scores are made of their ranks"] == 2
