"""Pairs in the ways in which TRL, LLaMA-Factory and others write them."""

from collections import Counter
from typing import Any

import pytest

from tasks.rank.layouts.pairs import read, write, write_chat
from tasks.rankings import RankedPrompt, Ranking


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "s"}
PAIR = {"chosen": "good", "rejected": "bad"}


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "q", **PAIR}, [user("q")]),
        ({"question": "q", "system": "s", **PAIR}, [SYSTEM, user("q")]),
        ({"question": "q", "system": "", **PAIR}, [user("q")]),
        ({"instruction": "q", "input": "x", "history": [["a", "b"]], **PAIR}, [user("a"), says("b"), user("q\n\nx")]),
        ({"prompt": [user("q")], "chosen": [says("good")], "rejected": [says("bad")]}, [user("q")]),
        ({"chosen": [user("q"), says("good")], "rejected": [user("q"), says("bad")]}, [user("q")]),
        # The prompt is there twice: beside the conversations as a text, or as messages
        ({"prompt": "q", "chosen": [user("q"), says("good")], "rejected": [user("q"), says("bad")]}, [user("q")]),
        (
            {"prompt": [user("q")], "chosen": [user("q"), says("good")], "rejected": [user("q"), says("bad")]},
            [user("q")],
        ),
        # TRL puts an explicit prompt before both
        (
            {
                "prompt": [user("q")],
                "chosen": [says("a"), user("r"), says("good")],
                "rejected": [says("a"), user("r"), says("bad")],
            },
            [user("q"), says("a"), user("r")],
        ),
        (
            {
                "conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}],
                "chosen": {"from": "gpt", "value": "good"},
                "rejected": {"from": "gpt", "value": "bad"},
            },
            [SYSTEM, user("q")],
        ),
        ({"conversations": [{"from": "human", "value": "q"}], "system": "s", **PAIR}, [SYSTEM, user("q")]),
    ],
)
def test_prompts_and_answers(row: dict[str, Any], prompt: list[dict[str, str]]) -> None:
    assert list(read(row, "f")) == [RankedPrompt(prompt, ["good", "bad"], [Ranking([1, 2], origin="f")])]


def test_scores_are_ratings() -> None:
    scored = {"prompt": "q", **PAIR, "score_chosen": 8, "score_rejected": 4.5}
    assert next(read(scored, "f")).rankings[0].ratings == [8.0, 4.5]
    assert next(read({**scored, "score_rejected": None}, "f")).rankings[0].ratings == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"chosen": " "}, "`chosen` is empty"),
        ({"rejected": None}, "`rejected` is not a text"),
        ({"rejected": "good"}, "chosen and rejected are the same"),
        ({"prompt": ""}, "a message of `prompt` needs"),
        ({"prompt": None}, "`prompt` is neither"),
        ({"prompt": [user("q"), says("a")]}, "`prompt` ends with an assistant turn"),
        ({"chosen": [user("q"), says("good")], "rejected": [user("r"), says("bad")]}, "different prompts"),
        ({"chosen": [user("q")]}, "`chosen` does not end with an assistant turn"),
        ({"chosen": {"from": "observation", "value": "x"}}, "a message of `chosen` needs a role"),
        ({"score_chosen": float("nan")}, "`score_chosen` is not a finite number"),
        ({"score_chosen": "high"}, "`score_chosen` is not a finite number: 'high'"),
        ({"history": [["a"]]}, "`history` holds something else"),
    ],
)
def test_malformed_pairs_are_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read({"prompt": "q", **PAIR, **change}, "f"))


def test_what_pairs_cannot_hold_is_counted() -> None:
    lost: Counter[str] = Counter()
    item = RankedPrompt(
        [user("q")], ["a", "", "c"], [Ranking([1, 2, 2], annotator="ann", comment="x"), Ranking([0, 1, 2])], ["m"] * 3
    )
    assert list(write(item, lost)) == [{"prompt": "q", "chosen": "a", "rejected": "c"}]
    assert {name: count for name, count in lost.items() if count} == {
        "annotators' names": 1,
        "comments": 1,
        "prompts with the models' names": 1,
        "tied pairs": 1,
        "pairs with an empty answer": 2,
    }
    turns = [SYSTEM, user("q")]
    assert not list(write(RankedPrompt(turns, ["a", "b"], [Ranking([1, 2])]), lost))
    assert lost["prompts of several turns (pairs-chat holds them)"] == 1
    [row] = write_chat(RankedPrompt(turns, ["a", "b"], [Ranking([2, 1], ratings=[1, 3])]), lost)
    assert row == {
        "prompt": turns,
        "chosen": [says("b")],
        "rejected": [says("a")],
        "score_chosen": 3,
        "score_rejected": 1,
    }
