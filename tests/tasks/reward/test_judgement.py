"""The judgement: by hand, against scipy-free definitions, and on planted answers that it must find."""

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.chat import user
from tasks.rankings import RankedPrompt, Ranking, length_baseline, pair_accuracy
from tasks.reward.calibration import calibration, expected_error, fit_temperature, reliability
from tasks.reward.correlation import average_ranks, spearman
from tasks.reward.intervals import Draws
from tasks.reward.judgement import headline, judge


def held(count: int, seed: int = 0, **about: str) -> list[RankedPrompt]:
    """Prompts with four answers of random length, ranked 1 to 4."""
    rng = random.Random(seed)
    return [
        RankedPrompt(
            user(f"q{n}"), [f"{k}" + "x" * rng.randrange(40) for k in range(4)], [Ranking([1, 2, 3, 4], **about)]
        )
        for n in range(count)
    ]


def scored(items: list[RankedPrompt], noise: float, members: int = 1, seed: int = 0) -> list[list[list[float]]]:
    """Scores that fall with the rank, with noise of a member's own."""
    rng = random.Random(seed)
    return [[[-float(rank) + rng.gauss(0, noise) for _ in range(members)] for rank in item.ranks[0]] for item in items]


def test_it_agrees_with_the_plain_measures() -> None:
    items = held(60)
    values = scored(items, 2.0)
    found = judge(items, values, [1.0], 0)
    plain = [[one[0] for one in row] for row in values]
    assert (found["accuracy"]["value"], found["accuracy"]["pairs"]) == pair_accuracy(items, plain)
    assert found["length_baseline"]["value"] == pytest.approx(length_baseline(items))
    difference = found["accuracy"]["value"] - found["length_baseline"]["value"]
    assert found["over_length"]["value"] == pytest.approx(difference)
    assert found["accuracy"]["prompts"] == 60
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    assert found["random_baseline"]["low"] < 0.5 < found["random_baseline"]["high"]
    assert judge(items, values, [1.0], 0) == found
    json.dumps(found, allow_nan=False)
    assert headline(found)["pair_accuracy_low"] == found["accuracy"]["low"]


def test_farther_apart_is_easier_and_every_table_counts_all_pairs() -> None:
    items = held(80, origin="people", annotator="ann") + [
        RankedPrompt(user(f"r{n}"), ["a", "bb"], [Ranking([1, 2], origin="judge:x", annotator="bob")])
        for n in range(40)
    ]
    found = judge(items, scored(items, 1.5), [1.0], 0)
    near, middle, far = (found["by_rank_distance"][str(distance)] for distance in (1, 2, 3))
    assert near["value"] < middle["value"] < far["value"]
    assert (near["pairs"], middle["pairs"], far["pairs"]) == (80 * 3 + 40, 160, 80)
    for table in ("by_rank_distance", "by_candidates", "by_origin", "by_annotator"):
        assert sum(row["pairs"] for row in found[table].values()) == 80 * 6 + 40
    assert set(found["by_origin"]) == {"judge:x", "people"}
    assert set(found["by_annotator"]) == {"ann", "bob"}
    assert set(found["by_candidates"]) == {"2", "4"}


def test_pairs_of_one_prompt_are_not_independent() -> None:
    """Ten annotators who say the same are ten times the pairs and no more knowledge: the interval stays as wide."""
    one = held(40)
    ten = [RankedPrompt(item.prompt, item.candidates, item.rankings * 10) for item in one]
    values = scored(one, 2.0)
    narrow, wide = judge(ten, values, [1.0], 0)["accuracy"], judge(one, values, [1.0], 0)["accuracy"]
    assert narrow["pairs"] == 10 * wide["pairs"]
    assert narrow["high"] - narrow["low"] == pytest.approx(wide["high"] - wide["low"])
    # The same question with two sets of candidates is one prompt
    twice = [RankedPrompt(user("q"), [f"a{n}", f"b{n}"], [Ranking([1, 2])]) for n in range(5)]
    assert judge(twice, scored(twice, 1.0), [1.0], 0)["accuracy"]["prompts"] == 1
    assert judge(twice, scored(twice, 1.0), [1.0], 0)["accuracy"]["low"] is None


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    """One pair a prompt, true accuracy .7: 95 % intervals hold it in about 95 of 100 samples."""
    rng = np.random.default_rng(0)
    covered = 0
    for sample in range(100):
        right = (rng.random(120) < 0.7).astype(float)
        found = Draws.make(120, sample).accuracy(right, np.arange(120))
        covered += found["low"] <= 0.7 <= found["high"]
    assert 88 <= covered <= 100


def test_calibration_by_hand() -> None:
    # Two bins: gaps ±1 (one of two right), gaps ±3 (both right)
    gaps = np.array([1.0, -1.0, 3.0, 3.0])
    curve = reliability(gaps, bins=2)
    low, high = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-3))
    assert [row["confidence"] for row in curve] == pytest.approx([low, high])
    assert [row["accuracy"] for row in curve] == [0.5, 1.0]
    assert expected_error(curve) == pytest.approx(((low - 0.5) + (1 - high)) / 2)


@pytest.mark.parametrize("truth", [0.5, 1.0, 4.0])
def test_the_temperature_is_found_and_mends_the_error(truth: float) -> None:
    """Gaps that are ``truth`` times as large as what comes true says."""
    rng = np.random.default_rng(1)
    odds = np.abs(rng.normal(0, 1.5, 8000))
    gaps = np.where(rng.random(8000) < 1 / (1 + np.exp(-odds)), odds, -odds) * truth
    assert fit_temperature(gaps) == pytest.approx(truth, rel=0.1)
    found = calibration(gaps, np.arange(8000) % 2 == 0)
    assert len(found["curve"]) == 15
    assert {row["pairs"] for row in found["curve"]} <= {533, 534}
    assert found["ece_after_temperature"] < 0.03
    assert (found["ece_other_half"] > found["ece_after_temperature"] + 0.02) == (truth != 1.0)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_rank_correlation(values: list[int], rng: random.Random) -> None:
    assert sum(average_ranks(values)) == pytest.approx(len(values) * (len(values) + 1) / 2)
    same = spearman(values, [3.0 * value**3 + 1 for value in values])
    assert same == (None if len(set(values)) == 1 else pytest.approx(1.0))
    other = rng.sample(values, len(values))
    forward, back = spearman(values, other), spearman(values, [-one for one in other])
    assert (forward is None) == (back is None)
    if forward is not None and back is not None:
        assert forward == pytest.approx(-back)
    assert average_ranks([10, 20, 20, 30]).tolist() == [1, 2.5, 2.5, 4]


def test_a_reward_that_reads_the_length_is_found_out() -> None:
    items = held(50)
    values = [[[float(len(text))] for text in item.candidates] for item in items]
    found = judge(items, values, [1.0], 0)
    assert found["length_correlation"]["all"] == pytest.approx(1)
    assert found["length_correlation"]["within_prompt"] == pytest.approx(1)
    share = found["accuracy"]["value"]
    assert found["length_baseline"]["value"] == pytest.approx(max(share, 1 - share))


def test_members_that_disagree_are_wrong_more_often() -> None:
    """Half of the prompts are noisy to every member: there they disagree, and there they are wrong."""
    items, rng = held(120), random.Random(3)
    values = [
        [[-rank + rng.gauss(0, 6.0 if n % 2 else 0.2) for _ in range(5)] for rank in item.ranks[0]]
        for n, item in enumerate(items)
    ]
    found = judge(items, values, [1.0] * 5, 0)["ensemble"]
    assert found["error_correlation"] > 0.2
    least, *_, most = found["by_disagreement"]
    assert least["accuracy"] > most["accuracy"]
    assert found["unanimous"]["accuracy"] > found["divided"]["accuracy"]
    assert found["unanimous"]["pairs"] + found["divided"]["pairs"] == 120 * 6
    assert len(found["members"]) == 5
    assert "ensemble" not in judge(items, scored(items, 1.0), [1.0], 0)


def test_the_surest_errors_are_shown_first_one_a_prompt() -> None:
    items = held(30)
    values = scored(items, 0.1)
    values[7] = [[-9.0], [9.0], [0.0], [1.0]]
    values[9] = [[0.0], [2.0], [-3.0], [-4.0]]
    found = judge(items, values, [1.0], 0)["confidently_wrong"]
    assert [row["prompt"] for row in found[:2]] == ["q7", "q9"]
    assert found[0]["better"] == items[7].candidates[0]
    assert found[0]["worse"] == items[7].candidates[1]
    assert found[0]["confidence"] == pytest.approx(1 / (1 + math.exp(-18)))
    assert len(found) == len({row["prompt"] for row in found})


def test_scaled_scores_are_judged_by_their_log_odds() -> None:
    items = held(40)
    values = scored(items, 2.0)
    halved = [[[one / 2 for one in member] for member in row] for row in values]
    assert judge(items, halved, [2.0], 0)["calibration"] == judge(items, values, [1.0], 0)["calibration"]


def test_without_a_pair_there_is_nothing_to_judge() -> None:
    with pytest.raises(ValueError, match="no held-out pair"):
        judge([RankedPrompt(user("q"), ["a", "b"], [Ranking([1, 1])])], [[[0.0], [1.0]]], [1.0], 0)
