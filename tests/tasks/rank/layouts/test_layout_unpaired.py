"""Answers judged one by one: pairs are made where a prompt has both kinds, the others are kept."""

from typing import Any

import pytest

from tasks.rank.layouts.gather import good_and_bad
from tasks.rank.layouts.item import Unpaired
from tasks.rank.layouts.unpaired import read
from tasks.rankings import RankedPrompt


def row(prompt: str, answer: str, label: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "label": label}


def test_good_and_bad_answers_of_a_prompt_are_a_ranking() -> None:
    rows = [row("q", "a", True), row("r", "x", True), row("q", "b", False), row("q", "c", True), row("r", "y", True)]
    found = list(good_and_bad(item for each in rows for item in read(each, "f")))
    [ranked] = [item for item in found if isinstance(item, RankedPrompt)]
    assert (ranked.candidates, ranked.ranks) == (["a", "b", "c"], [[1, 2, 1]])
    assert [item.answer for item in found if isinstance(item, Unpaired)] == ["x", "y"]


def test_an_answer_that_is_called_both_is_no_ranking() -> None:
    rows = [row("q", "a", True), row("q", "a", False), row("q", "b", False)]
    found = list(good_and_bad(item for each in rows for item in read(each, "f")))
    assert len(found) == 3
    assert not any(isinstance(item, RankedPrompt) for item in found)


def test_trl_rows() -> None:
    user, said = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    expected = [Unpaired([user], "a", False)]
    assert list(read({"prompt": "q", "completion": "a", "label": False}, "f")) == expected
    assert list(read({"prompt": [user], "completion": [said], "label": False}, "f")) == expected


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (row("q", "a", "true"), "`label` is neither true nor false: 'true'"),
        (row("q", "a", 1), "`label` is neither"),
        (row("q", "", True), "needs a role"),
        ({"messages": [{"role": "user", "content": "q"}], "label": True}, "does not end with an answer"),
        ({"prompt": "q", "completion": " ", "label": True}, "`completion` is empty"),
        ({"prompt": "q", "completion": [{"role": "user", "content": "q"}], "label": True}, "not one assistant turn"),
    ],
)
def test_malformed_rows_are_refused(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read(bad, "f"))
