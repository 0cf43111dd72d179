"""OpenAssistant's trees."""

from collections import Counter
from typing import Any

import pytest

from tasks.rank.layouts.item import Flaw
from tasks.rank.layouts.oasst import read, write
from tasks.rankings import RankedPrompt, Ranking


def node(role: str, text: str, rank: Any = None, *replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"message_id": text, "role": role, "text": text, "rank": rank, "replies": list(replies), **more}


def test_every_node_with_two_ranked_replies_is_a_ranking() -> None:
    deeper = node("prompter", "q2", None, node("assistant", "x", 1), node("assistant", "y", 0, model_name="m"))
    alone = node("prompter", "q3", None, node("assistant", "z", 0))
    first = node("assistant", "a", 1, deeper)
    gone = node("assistant", "gone", 3, deleted=True)
    root = node("prompter", "q", None, first, node("assistant", "b", 0, alone), node("assistant", "c"), gone)
    found = [item for item in read({"prompt": root}, "f") if isinstance(item, RankedPrompt)]
    assert [(item.candidates, item.ranks) for item in found] == [(["a", "b"], [[2, 1]]), (["x", "y"], [[2, 1]])]
    assert [turn["content"] for turn in found[1].prompt] == ["q", "a", "q2"]
    assert [turn["role"] for turn in found[1].prompt] == ["user", "assistant", "user"]
    assert [item.models for item in found] == [[], ["", "m"]]


@pytest.mark.parametrize("tree", [None, {"role": "prompter", "text": ""}, {"role": "x", "text": "y"}])
def test_malformed_trees_are_refused(tree: Any) -> None:
    with pytest.raises(ValueError, match="message"):
        list(read({"prompt": tree}, "f"))
    with pytest.raises(ValueError, match="not a list of messages: those of 'q'"):
        list(read({"prompt": {**node("prompter", "q"), "replies": ["x"]}}, "f"))


def test_a_bad_node_leaves_the_rest_of_the_tree() -> None:
    same = node("prompter", "again", None, node("assistant", "x", 0), node("assistant", "x", 1))
    half = node("prompter", "half", None, node("assistant", "x", 0), node("assistant", "y", 0.5))
    root = node("prompter", "q", None, node("assistant", "a", 0, same), node("assistant", "b", 1, half))
    found = list(read({"prompt": root}, "f"))
    assert [item.error for item in found if isinstance(item, Flaw)] == [
        "1 different candidates, a ranking needs 2",
        "ranks are not whole numbers: [0, 0.5]",
    ]
    assert len(found) == 3


def test_what_a_tree_cannot_hold_is_counted() -> None:
    lost: Counter[str] = Counter()
    user = {"role": "user", "content": "q"}
    [tree] = write(RankedPrompt([user], ["a", "b", "c"], [Ranking([2, 0, 1])]), lost)
    assert [(reply["text"], reply["rank"]) for reply in tree["prompt"]["replies"]] == [("a", 1), ("c", 0)]
    assert not list(
        write(RankedPrompt([{"role": "system", "content": "s"}, user], ["a", "b"], [Ranking([1, 2])]), lost)
    )
    assert not list(write(RankedPrompt([user], ["a", ""], [Ranking([1, 2])]), lost))
    assert {name: count for name, count in lost.items() if count} == {
        "answers without a rank": 1,
        "prompts with a system turn": 1,
        "prompts with an empty answer": 1,
    }
