"""The project's own rows: what is kept, what is refused."""

from collections import Counter
from typing import Any

import pytest

from tasks.rank.layouts.own import read, write
from tasks.rankings import RankedPrompt, Ranking

ROW: dict[str, Any] = {"prompt": "Why?", "candidates": ["a", "b", "c"], "ranks": [2, 1, 2]}


def test_one_and_several_annotators() -> None:
    user = [{"role": "user", "content": "Why?"}]
    assert next(read(ROW, "f")) == RankedPrompt(user, ["a", "b", "c"], [Ranking([2, 1, 2], origin="f")])
    assert next(read({**ROW, "ranks": [[1, 2, 3], [9, 7, 4]]}, "f")).ranks == [[1, 2, 3], [3, 2, 1]]


def test_null_is_not_ranked() -> None:
    assert next(read({**ROW, "ranks": [5, None, 3]}, "f")).ranks == [[2, 0, 1]]
    # Nothing ranked says something only together with "all bad"
    assert next(read({**ROW, "ranks": [None, None, None], "all_bad": True}, "f")).ranks == [[0, 0, 0]]


def test_several_annotators_have_a_value_each() -> None:
    row = {**ROW, "ranks": [[1, 2, 3], [3, 2, 1]], "annotator": ["ann", None], "comment": [None, "so"]}
    found = next(read({**row, "ratings": [[3, 2, 1], None], "origin": "people"}, "f")).rankings
    assert [(each.annotator, each.comment, each.origin) for each in found] == [
        ("ann", "", "people"),
        ("", "so", "people"),
    ]
    assert [each.ratings for each in found] == [[3, 2, 1], []]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"candidates": "ab"}, "`candidates` is not a list"),
        ({"candidates": ["a", 1]}, "`candidates` is not a list"),
        ({"ranks": []}, "`ranks` is not a list"),
        ({"ranks": [1]}, r"not one rank a candidate: 3 candidates, but ranks \[1\]"),
        ({"ranks": [[1, 2, 3], [1]]}, r"3 candidates, but ranks \[1\]"),
        ({"ranks": [1, 2.5, 3]}, "not whole numbers"),
        ({"ranks": [1, True, 2]}, "not whole numbers"),
        ({"ranks": [1, None, None]}, "fewer than 2 candidates are ranked"),
        ({"prompt": ""}, "needs a role"),
        ({"prompt": 3}, "neither a text nor a list"),
        ({"prompt": [{"role": "narrator", "content": "x"}]}, "needs a role"),
        ({"prompt": [{"role": "assistant", "content": "x"}]}, "ends with an assistant turn"),
        ({"candidates": ["a", "a", "a"]}, "1 different candidates"),
        ({"ratings": [1, 2, float("nan")]}, "`ratings` is not a list of 3 numbers"),
        ({"ratings": [1, 2, float("inf")]}, "`ratings` is not a list of 3 numbers"),
        ({"origin": 7}, "`origin` is neither a name nor one a ranking: 7"),
        ({"ranks": [[1, 2, 3], [3, 2, 1]], "origin": ["a"]}, "`origin` is neither a name nor one a ranking"),
    ],
)
def test_malformed_rows_are_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read({**ROW, **change}, "f"))


def test_places_with_gaps_are_counted() -> None:
    lost: Counter[str] = Counter()
    merged = RankedPrompt([{"role": "user", "content": "q"}], ["a", "b"], [Ranking([1, 2], shown=[2, 0])])
    assert list(write(merged, lost)) == [{"prompt": "q", "candidates": ["a", "b"], "ranks": [1, 2]}]
    assert lost["rankings with the places"] == 1


def test_a_ranking_of_one_is_not_written() -> None:
    lost: Counter[str] = Counter()
    item = RankedPrompt([{"role": "user", "content": "q"}], ["a", "b"], [Ranking([1, 0]), Ranking([1, 2])])
    assert list(write(item, lost)) == [{"prompt": "q", "candidates": ["a", "b"], "ranks": [1, 2]}]
    assert lost["rankings of fewer than 2 candidates"] == 1
