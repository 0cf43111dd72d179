"""AlpacaEval: official annotations, and all outputs of a prompt in one row."""

from typing import Any

import pytest

from tasks.rank.layouts.alpaca_eval import LAYOUT, read
from tasks.rank.layouts.gather import one_item_a_prompt
from tasks.rank.layouts.item import Flaw
from tasks.rankings import RankedPrompt, merge_rankings

ROW: dict[str, Any] = {
    "instruction": "q",
    "output_1": "old",
    "output_2": "new",
    "generator_1": "davinci",
    "generator_2": "mine",
    "annotator": "gpt4",
    "preference": 2,
}


@pytest.mark.parametrize(
    ("preference", "ranks", "ratings"),
    [(1, [1, 2], []), (2.0, [2, 1], []), (1.5, [1, 1], []), (1.25, [1, 2], [0.75, 0.25]), (1.75, [2, 1], [0.25, 0.75])],
)
def test_preferences(preference: float, ranks: list[int], ratings: list[float]) -> None:
    [found] = read({**ROW, "preference": preference}, "f")
    assert isinstance(found, RankedPrompt)
    assert (found.ranks, found.rankings[0].ratings) == ([ranks], ratings)
    assert (found.models, found.rankings[0].annotator) == (["davinci", "mine"], "gpt4")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"preference": None}, "`preference` is null"),
        ({"preference": 0}, "`preference` is 0"),
        ({"preference": 3}, "not between 1 and 2: 3"),
        ({"preference": float("nan")}, "not a finite number"),
        ({"output_2": "old"}, "the two outputs are the same"),
        ({"output_2": ""}, "`output_2` is empty"),
    ],
)
def test_malformed_annotations_are_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read({**ROW, **change}, "f"))


def test_comparisons_of_a_prompt_become_one_item() -> None:
    other = {**ROW, "output_2": "third", "generator_2": "other", "preference": 1}
    found = [item for row in (ROW, other) for item in read(row, "f") if isinstance(item, RankedPrompt)]
    [item] = one_item_a_prompt(found)
    assert isinstance(item, RankedPrompt)
    assert (item.candidates, item.models) == (["old", "new", "third"], ["davinci", "mine", "other"])
    assert item.ranks == [[2, 1, 0], [1, 0, 2]]
    # The same annotator's second comparison does not replace the first one
    assert merge_rankings([item])[0][0].ranks == item.ranks


def test_one_row_with_all_outputs() -> None:
    row = {
        "instruction": "q",
        "v1_baseline": "davinci",
        "v2_baseline": "gpt",
        "responses": [
            {"model": "davinci", "output": "old", "pref_v1": 1.5, "pref_v2": None},
            {"model": "a", "output": "A", "pref_v1": 2.0, "pref_v2": 1.01},
            {"model": "gpt", "output": "G", "pref_v1": 2, "pref_v2": None},
            {"model": "b", "output": "old", "pref_v1": 1, "pref_v2": None},
            {"model": "c", "output": "C", "pref_v1": 0, "pref_v2": None},
        ],
    }
    found = list(read(row, "f"))
    assert [item.error for item in found if isinstance(item, Flaw)] == [
        "the two outputs are the same: b",
        "`pref_v1` is 0: a draw in old files (1.5 today), an invalid answer in others (c)",
    ]
    assert LAYOUT.gather is not None
    [item] = LAYOUT.gather(item for item in found if not isinstance(item, Flaw))
    assert isinstance(item, RankedPrompt)
    assert (item.candidates, item.models) == (["old", "A", "G"], ["davinci", "a", "gpt"])
    assert item.ranks == [[2, 1, 0], [2, 0, 1], [0, 2, 1]]
