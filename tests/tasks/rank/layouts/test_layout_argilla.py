"""Argilla records: nested as to_json writes them, flat as to_datasets does."""

from collections import Counter
from typing import Any

import pytest

from tasks.rank.layouts.argilla import read, write
from tasks.rank.layouts.item import Flaw
from tasks.rankings import RankedPrompt, Ranking

ANN, BOB = "3fa85f64-5717-4562-b3fc-2c963f66afa6", "3fa85f64-5717-4562-b3fc-2c963f66afa7"
FIELDS = {"prompt": "q", "answer-1": "a", "answer-2": "b", "answer-3": "c"}


def record(*values: Any, **more: Any) -> dict[str, Any]:
    responses = [{"value": value, "user_id": who} for value, who in zip(values, (ANN, BOB), strict=False)]
    comment = [{"value": "fine", "user_id": ANN}]
    return {
        "id": "1",
        "fields": FIELDS,
        "metadata": {},
        "suggestions": {},
        "responses": {"ranking": responses, "why": comment},
        "vectors": {},
        "status": "completed",
        "_server_id": None,
        **more,
    }


def only(row: dict[str, Any]) -> RankedPrompt:
    [found] = read(row, "f")
    assert isinstance(found, RankedPrompt)
    return found


def test_responses_of_several_users() -> None:
    found = only(record(["answer-2", "answer-1", "answer-3"], ["answer-1", "answer-3"]))
    assert found.candidates == ["a", "b", "c"]
    assert found.rankings == [
        Ranking([2, 1, 3], annotator=ANN, origin="f"),
        Ranking([1, 0, 2], annotator=BOB, origin="f"),
    ]


def test_values_with_ranks_hold_ties() -> None:
    value = [{"value": "answer-3", "rank": 1}, {"value": "answer-1", "rank": 1}, {"value": "answer-2", "rank": 4}]
    assert only(record(value)).ranks == [[1, 2, 1]]
    columns = {"value": ["answer-3", "answer-1", "answer-2"], "rank": [1, 1, 4]}
    assert only(record(columns)).ranks == [[1, 2, 1]]


def test_a_suggestion_is_a_ranking_by_its_agent() -> None:
    suggested = {"ranking": {"value": ["answer-1", "answer-2"], "score": None, "agent": "judge"}}
    found = only(record(["answer-2", "answer-1"], suggestions=suggested))
    assert [(each.annotator, each.ranks) for each in found.rankings] == [(ANN, [2, 1]), ("judge", [1, 2])]


def test_flat_rows() -> None:
    row = {
        "id": "1",
        **FIELDS,
        "ranking.responses": [["answer-2", "answer-1"], ["answer-1", "answer-2"]],
        "ranking.responses.users": [ANN, BOB],
        "ranking.responses.status": ["submitted", "draft"],
        "ranking.suggestion": None,
    }
    flaw, found = read(row, "f")
    assert flaw == Flaw(f"a response is not submitted: draft by {BOB}")
    assert isinstance(found, RankedPrompt)
    assert found.rankings == [Ranking([2, 1], annotator=ANN, origin="f")]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (record(), "no response and no suggestion to a ranking question"),
        (record(["x", "y"]), "no response and no suggestion to a ranking question"),
        (record(["answer-1", "answer-2"], fields={**FIELDS, "answer-2": ""}), r"`fields\[1\]` is empty"),
        (record(["answer-1", "answer-2"], fields={**FIELDS, "prompt": None}), "`prompt` is neither"),
        (
            record(responses={name: [{"value": ["answer-1", "answer-2"], "user_id": ANN}] for name in ("a", "b")}),
            "several ranking questions; keep one of them in the file: a, b",
        ),
    ],
)
def test_malformed_records_are_refused(row: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read(row, "f"))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (["answer-1", "answer-1"], "a ranking names an option twice"),
        (["answer-1"], "fewer than 2 options are ranked: 1"),
    ],
)
def test_a_bad_response_leaves_the_others(value: Any, why: str) -> None:
    flaw, found = read(record(value, ["answer-1", "answer-2"]), "f")
    assert isinstance(flaw, Flaw)
    assert flaw.error.startswith(why)
    assert isinstance(found, RankedPrompt)


def test_users_are_uuids_and_names_stand_in_the_metadata() -> None:
    rankings = [Ranking([1, 2], annotator="ann"), Ranking([2, 1], annotator=BOB), Ranking([1, 1])]
    [row] = write(RankedPrompt([{"role": "user", "content": "q"}], ["a", "b"], rankings), Counter())
    users = [response["user_id"] for response in row["responses"]["ranking"]]
    assert users[1] == BOB
    assert len(set(users)) == 3
    assert row["metadata"] == {"annotators": ["ann", BOB, ""]}
