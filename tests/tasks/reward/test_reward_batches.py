"""Batches of ranked prompts, order of steps, the shuffled control."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.chat import user
from tasks.rankings import RankedPrompt, Ranking
from tasks.reward.batches import EncodedPrompt, bootstrap, collate, passes, row_parts, shuffled_ranks, step_prompts
from tasks.scoring import Conversation


def test_collate_places_candidates_and_ranks() -> None:
    batch = collate(
        [
            EncodedPrompt([Conversation([5], 0), Conversation([6, 7, 8], 1)], [Ranking([1, 2]), Ranking([2, 1])]),
            EncodedPrompt(
                [Conversation([9], 0), Conversation([9, 9], 1), Conversation([4], 0)],
                [Ranking([1, 1, 2], ratings=[5.0, 5.0, 1.0]), Ranking([1, 1, 1])],
            ),
        ],
        0,
    )
    assert batch.ids_BT.tolist() == [[5, 0, 0], [6, 7, 8], [9, 0, 0], [9, 9, 0], [4, 0, 0]]
    assert batch.lengths_B.tolist() == [1, 3, 1, 2, 1]
    assert batch.start_B.tolist() == [0, 1, 0, 1, 0]
    (block,) = batch.blocks
    assert block.candidate_RK.tolist() == [[0, 1, 0], [0, 1, 0], [2, 3, 4]]
    assert block.ranks_RK.tolist() == [[1, 2, 0], [2, 1, 0], [1, 1, 2]]
    assert block.ratings_RK.nan_to_num(-1).tolist() == [[-1, -1, -1], [-1, -1, -1], [5, 5, 1]]
    assert block.weight_RM.tolist() == [[0.5], [0.5], [1]]
    assert batch.prompts == 2


@given(st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=12), min_size=1, max_size=9), st.integers(1, 150))
def test_passes_hold_whole_prompts_and_at_most_so_many_tokens(prompts: list[list[int]], most: int) -> None:
    encoded = [EncodedPrompt([Conversation([n] * length, 0) for length in one], []) for n, one in enumerate(prompts)]
    groups = passes(encoded, most)
    assert [prompt for group in groups for prompt in group] == encoded

    def padded(group: list[EncodedPrompt]) -> int:
        return collate(group, 0).ids_BT.numel()

    assert all(len(group) == 1 or padded(group) <= most for group in groups)
    assert all(padded([*group, after[0]]) > most for group, after in itertools.pairwise(groups)), "not one more fits"


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 60))
def test_a_part_holds_as_many_rows_as_fit(lengths: list[int], most: int) -> None:
    parts = [lengths[part] for part in row_parts(lengths, most)]
    assert [length for part in parts for length in part] == lengths
    assert all(len(part) == 1 or len(part) * max(part) <= most for part in parts)
    assert all((len(part) + 1) * max(*part, after[0]) > most for part, after in itertools.pairwise(parts))


def test_bootstrap_draws_as_many_prompts_as_there_are() -> None:
    prompts = [EncodedPrompt([Conversation([n], 0)], []) for n in range(40)]
    assert bootstrap(prompts, 1, 0) == prompts
    drawn = bootstrap(prompts, 3, 0)
    for member in range(3):
        counts = [prompt.weights[member] for prompt in drawn]
        assert sum(counts) == 40
        assert 0 in counts
    assert len({tuple(prompt.weights[member] for prompt in drawn) for member in range(3)}) == 3
    assert bootstrap(prompts, 3, 0) == drawn != bootstrap(prompts, 3, 1)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3))
def test_every_epoch_sees_every_prompt_once(prompts: int, per_step: int, seed: int) -> None:
    steps = -(-prompts // per_step)
    for epoch in range(2):
        seen = [n for step in range(steps) for n in step_prompts(epoch * steps + step, prompts, per_step, seed)]
        assert sorted(seen) == list(range(prompts))


def test_epochs_have_different_orders() -> None:
    assert step_prompts(0, 50, 50, 0) != step_prompts(1, 50, 50, 0)
    assert step_prompts(0, 50, 50, 0) != step_prompts(0, 50, 50, 1)


def test_shuffling_keeps_everything_but_the_order_of_ranks() -> None:
    items = [RankedPrompt(user(f"q{n}"), ["a", "b", "c"], [Ranking([1, 2, 2])]) for n in range(90)]
    shuffled = shuffled_ranks(items, 0)
    assert all(sorted(item.ranks[0]) == [1, 2, 2] for item in shuffled)
    assert [item.candidates for item in shuffled] == [item.candidates for item in items]
    places = Counter(item.ranks[0].index(1) for item in shuffled)
    assert all(places[place] == pytest.approx(30, abs=15) for place in range(3))
    assert shuffled_ranks(items, 0) == shuffled != shuffled_ranks(items, 1)
