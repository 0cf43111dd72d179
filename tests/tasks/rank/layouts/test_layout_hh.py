"""Transcripts of Human and Assistant."""

from collections import Counter
from typing import Any

import pytest

from tasks.rank.layouts.hh import read, write
from tasks.rankings import RankedPrompt, Ranking

H, A = "\n\nHuman: ", "\n\nAssistant: "


def test_transcripts() -> None:
    found = next(read({"chosen": f"{H}q{A}a{H}r{A}good", "rejected": f"{H}q{A}a{H}r{A}bad"}, "f"))
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
        (f"{H}q{A}a", f"{H}q{A}a ", "chosen and rejected are the same"),
    ],
)
def test_malformed_transcripts_are_refused(chosen: Any, rejected: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read({"chosen": chosen, "rejected": rejected}, "f"))


def test_what_a_transcript_cannot_hold_is_counted() -> None:
    user = {"role": "user", "content": "q"}
    lost: Counter[str] = Counter()
    assert not list(
        write(RankedPrompt([{"role": "system", "content": "s"}, user], ["a", "b"], [Ranking([1, 2])]), lost)
    )
    rows = list(write(RankedPrompt([user], [f"a{H}x", "b", " c"], [Ranking([1, 2, 2], annotator="ann")]), lost))
    assert rows == []
    rows = list(write(RankedPrompt([user], ["a", "b", "c"], [Ranking([1, 2, 2])]), lost))
    assert rows[0] == {"chosen": f"{H}q{A}a", "rejected": f"{H}q{A}b"}
    assert {name: count for name, count in lost.items() if count} == {
        "prompts with a system turn": 1,
        "pairs whose texts have blank ends or a speaker's mark": 2,
        "annotators' names": 1,
        "tied pairs": 2,
    }
