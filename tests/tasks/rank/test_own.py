"""Rows of our own format, with everything that may be known of a ranking, there and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.candidate_rows import Candidates
from tasks.chat import user
from tasks.rank.own import read_own
from tasks.rank.people import prompts_ranked, read_people, returned
from tasks.rankings import RankedPrompt, Ranking

TEXTS = ["a", "b", "c"]
ROW = {"prompt": "q", "candidates": TEXTS, "ranks": [2, 1, 2]}
KNOWN: dict[str, Any] = {
    "annotator": "ann", "ratings": [0.5, 2, 1], "shown": [2, 0, 1], "all_bad": True, "comment": "why not",
    "axes": {"helpful": [5, None, 1]}, "seconds": 12.5,
}  # fmt: skip


def test_all_that_is_known_of_one_ranking_and_of_several() -> None:
    one = read_own({**ROW, **KNOWN, "models": ["m", "n", "m"]}, "people")
    assert one.rankings == [Ranking([2, 1, 2], origin="people", **KNOWN)]
    assert one.models == ["m", "n", "m"]
    several = {name: [value, None] for name, value in KNOWN.items()}
    two = read_own({**ROW, **several, "ranks": [[2, 1, 2], [1, None, 4]]}, "f", "somebody")
    assert two.rankings == [Ranking([2, 1, 2], origin="f", **KNOWN), Ranking([1, 0, 2], "somebody", "f")]
    named = read_own({**ROW, "ranks": [[1, 2, 3], [3, 2, 1]], "annotator": "bo"}, "f")
    assert [ranking.annotator for ranking in named.rankings] == ["bo", "bo"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"annotator": 3}, "`annotator` is not a name: 3"),
        ({"annotator": ["ann"]}, "`annotator` is not a name"),
        ({"ratings": [1, 2]}, "`ratings` is not a list of 3 numbers"),
        ({"ratings": [1, 2, "x"]}, "`ratings` is not a list of 3 numbers"),
        ({"shown": [0, 1, 1]}, "`shown` is not the places 0 to 2"),
        ({"all_bad": "yes"}, "`all_bad` is neither true nor false"),
        ({"axes": [1]}, "`axes` is not an object"),
        ({"axes": {"helpful": [1, 2]}}, "`axes` has an axis that is not a list of 3"),
        ({"seconds": -1}, "`seconds` is not a number of seconds"),
        ({"seconds": True}, "`seconds` is not a number of seconds"),
        ({"models": ["m"]}, "`models` is not a list of 3 names"),
        ({"ranks": [[1, 2, 3], [3, 2, 1]], "seconds": [1]}, "`seconds` is not a list of 2, one a ranking"),
    ],
)
def test_what_is_known_must_fit(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_own({**ROW, **change}, "f")


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    ranks = draw(st.lists(st.none() | st.integers(1, 3), min_size=3, max_size=3).filter(any))
    return Ranking.of(
        ranks,
        annotator=draw(st.sampled_from(["", "ann", "安"])),
        origin="people",
        ratings=draw(st.just([]) | st.lists(st.floats(-9, 9), min_size=3, max_size=3)),
        shown=draw(st.just([]) | st.permutations(range(3))),
        all_bad=draw(st.booleans()),
        axes=draw(st.dictionaries(st.text(), st.lists(st.none() | st.integers(1, 5), min_size=3, max_size=3))),
        comment=draw(st.text()),
        seconds=draw(st.none() | st.floats(0, 1e6)),
    )


@given(st.lists(rankings(), min_size=1, max_size=3))
def test_what_was_accepted_is_read_as_it_was(tmp_path_factory: pytest.TempPathFactory, given: list[Ranking]) -> None:
    file = tmp_path_factory.mktemp("own") / "rankings.jsonl"
    file.write_text("".join(returned([RankedPrompt(user("q"), TEXTS, given)])), encoding="utf-8")
    read = read_people(file, [Candidates(user("q"), TEXTS, 0)])
    assert [item.rankings for item in read] == [[ranking] for ranking in given]


def test_an_annotator_who_ranks_twice_is_one(tmp_path: Path) -> None:
    file = tmp_path / "sheet.jsonl"
    rows = [{**ROW, "annotator": name} for name in ("ann", "ann", "bo")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    items = read_people(file, [Candidates(user("q"), TEXTS, 0)])
    assert [prompts_ranked(items[:2], overlap) for overlap in (1, 2)] == [1, 0]
    assert [prompts_ranked(items, overlap) for overlap in (2, 3)] == [1, 0]
    assert prompts_ranked(read_people(file, [Candidates(user("q"), TEXTS, 0)], "cy") * 2, 3) == 0
    nameless = [RankedPrompt(user("q"), TEXTS, [Ranking([1, 2, 3]), Ranking([1, 2, 3])])]
    assert prompts_ranked(nameless, 2) == 1
