"""Baselines of the reward benchmark: they find what they can see, and their intervals are of prompts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reward.baselines import (
    accuracy,
    advantage,
    by_chance,
    by_length,
    by_ngrams,
    crossed,
    folds,
    ngrams,
)
from tasks.chat import user
from tasks.rankings import RankedPrompt, Ranking

WORDS = ["the", "fox", "went", "to", "a", "river", "with", "some", "bread", "and", "slept", "there", "until", "noon"]


def planted(count: int, good: str = "kindly", chinese: bool = False) -> list[RankedPrompt]:
    """Four random answers a prompt; the two that hold a certain word are better, and every other one is longer."""
    rng, items = random.Random(0), []
    for number in range(count):
        texts = [" ".join(rng.choices(WORDS, k=rng.randint(5, 12))) for _ in range(4)]
        if chinese:
            texts = ["".join(rng.choices("天地玄黄宇宙洪荒日月盈昃", k=rng.randint(9, 20))) for _ in range(4)]
        at = rng.sample(range(4), 2)
        answers = [f"{text}{'' if chinese else ' '}{good if n in at else ''}" for n, text in enumerate(texts)]
        items.append(RankedPrompt(user(f"{number}"), answers, [Ranking([1 if n in at else 2 for n in range(4)])]))
    return items


@pytest.mark.parametrize("chinese", [False, True])
def test_ngrams_find_a_word_on_prompts_that_they_have_not_seen(chinese: bool) -> None:
    items = planted(60, "谢谢" if chinese else "kindly", chinese)
    found = accuracy(items, crossed(items, lambda train: by_ngrams(train, 0), 0))
    assert found.value > 0.97
    assert (found.pairs, found.prompts) == (240, 60)


def test_ngrams_of_shuffled_rankings_find_nothing() -> None:
    rng = random.Random(1)
    items = [
        RankedPrompt(item.prompt, item.candidates, [Ranking(rng.sample(item.ranks[0], 4))]) for item in planted(120)
    ]
    found = accuracy(items, crossed(items, lambda train: by_ngrams(train, 0), 0))
    assert found.low < 0.5 < found.high


def test_length_takes_its_direction_from_the_training_prompts() -> None:
    shorter = [RankedPrompt(user("a"), ["one two three", "one"], [Ranking([2, 1])])]
    assert by_length(shorter)(RankedPrompt(user("b"), ["xx", "x"], [Ranking([1, 2])])) == [-2, -1]
    longer = [RankedPrompt(user("a"), ["one two three", "one"], [Ranking([1, 2])])]
    assert by_length(longer)(RankedPrompt(user("b"), ["xx", "x"], [Ranking([1, 2])])) == [2, 1]


def test_interval_counts_prompts_and_not_pairs() -> None:
    """Half of the prompts are all right, half all wrong: ten pairs of a prompt are no ten observations."""
    order = [Ranking([1, 2, 3, 4, 5])]
    items = [RankedPrompt(user(str(number)), list("abcde"), order) for number in range(40)]
    rows = [[5.0, 4, 3, 2, 1] if number % 2 else [1.0, 2, 3, 4, 5] for number in range(40)]
    found = accuracy(items, rows)
    assert (found.value, found.pairs, found.prompts) == (0.5, 400, 40)
    half = 1.96 * (0.25 / 40) ** 0.5
    assert found.high - found.low == pytest.approx(2 * half, rel=0.2)


def test_items_of_one_prompt_are_drawn_together() -> None:
    items = [RankedPrompt(user("same"), ["a", f"b{number}"], [Ranking([1, 2])]) for number in range(9)]
    found = accuracy(items, [[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 5)
    assert (found.low, found.high, found.prompts) == (found.value, found.value, 1)
    assert found.value == pytest.approx(4 / 9)


def test_advantage_of_a_method_over_itself_is_nothing() -> None:
    items = planted(20)
    rows = [by_chance(0)(item) for item in items]
    assert advantage(items, rows, rows).low == advantage(items, rows, rows).high == 0
    perfect = [[-float(rank) for rank in item.ranks[0]] for item in items]
    assert advantage(items, perfect, rows).value == pytest.approx(1 - accuracy(items, rows).value)


@given(st.lists(st.integers(0, 6), min_size=10, max_size=40), st.integers(0, 9))
def test_a_prompt_is_on_one_side_of_a_fold(prompts: list[int], seed: int) -> None:
    items = [RankedPrompt(user(str(name)), ["a", f"b{at}"], [Ranking([1, 2])]) for at, name in enumerate(prompts)]
    held = []
    for others, inside in folds(items, seed):
        assert not {item.prompt_key for item in others} & {item.prompt_key for item in inside}
        assert len(others) + len(inside) == len(items)
        held += inside
    assert sorted(item.candidates[1] for item in held) == sorted(item.candidates[1] for item in items)


def test_ngrams_of_english_are_words_and_of_chinese_characters() -> None:
    assert ngrams("The fox, ran") == ["the", "fox", ",", "ran", "the fox", "fox ,", ", ran"]
    assert ngrams("天地玄") == ["天", "地", "玄", "天地", "地玄", "天地玄"]
