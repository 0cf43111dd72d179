"""Annotators that disagree, do not look, or contradict themselves: planted ones are flagged, honest ones are not."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from tasks.rank.trust.bias import Places, longer_share, model_wins
from tasks.rank.trust.cycles import cycles, cyclic_triads
from tasks.rank.trust.dissent import BETS, Dissent, dissents
from tasks.rank.trust.habits import Habits, complaints
from tasks.rank.trust.repeats import self_consistency
from tasks.rank.trust.report import DISSENT, metrics, trust
from tasks.rank.trust.votes import Block, block
from tasks.rankings import RankedPrompt, Ranking


def asked(number: int = 0) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"question {number}"}]


def ranked(rng: random.Random, size: int, flips: float) -> list[int]:
    won = [0] * size
    for i in range(size):
        for j in range(i + 1, size):
            won[j if rng.random() < flips else i] += 1
    return [sorted(set(won), reverse=True).index(wins) + 1 for wins in won]


def panel(seed: int, flips: list[float], votes: int = 50, reverse: int | None = None) -> list[Block]:
    """One annotator a rate of flipped answers; everybody ranks everything."""
    rng, blocks = random.Random(seed), []
    for _ in range(votes):
        size = rng.randint(4, 10)
        rows = [ranked(rng, size, rate) for rate in flips]
        if reverse is not None:
            rows[reverse] = [max(rows[reverse]) + 1 - rank for rank in rows[reverse]]
        blocks.append(block(rows, [f"a{n}" for n in range(len(flips))]))
    return blocks


def flagged(found: dict[str, Dissent]) -> list[str]:
    return [name for name, test in found.items() if test.flagged]


@pytest.mark.parametrize("seed", range(5))
def test_one_who_answers_reversed_or_at_random_is_flagged_within_fifty_votes(seed: int) -> None:
    for flips, reverse in (([0.1] * 9, 4), ([0.1] * 4 + [0.5] + [0.1] * 4, None)):
        found = dissents(panel(seed, flips, reverse=reverse), 9, DISSENT)
        assert flagged(found) == ["a4"]
        assert found["a4"].flagged_at is not None
        assert found["a4"].flagged_at <= 10


@pytest.mark.parametrize("seed", range(5))
def test_one_answer_in_ten_flipped_among_consistent_ones_is_flagged(seed: int) -> None:
    assert flagged(dissents(panel(seed, [0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), 9, DISSENT)) == ["a2"]
    assert flagged(dissents(panel(seed, [0.0, 0.1, 0.0]), 3, DISSENT)) == ["a1"]


def test_honest_annotators_are_not_flagged() -> None:
    wrong = [flagged(dissents(panel(seed, [0.1] * 8, votes=25), 8, DISSENT)) for seed in range(30)]
    assert wrong == [[]] * 30


def test_a_bet_is_fair() -> None:
    # Whichever rankings a prompt has, the factors of its annotators have the mean 1: no stake grows by itself
    votes = block([[1, 2, 3, 4], [1, 2, 4, 3], [4, 3, 2, 1], [1, 1, 2, 2]], list("abcd"))
    found = dissents([votes], 4, 0.01)
    stakes = [10**test.evidence for test in found.values()]
    # evidence is the highest stake so far, which begins at 1; one factor lies above 1, the others are lost
    assert max(stakes) <= 4
    assert sum(stake > 1.0001 for stake in stakes) == 1
    assert sum(BETS.values()) == pytest.approx(1)


def test_the_stake_by_hand() -> None:
    # Three annotators, one odd: x is 1/2 for the two and 1 for the odd one; the factor is e^λ / ((2e^(λ/2) + e^λ)/3)
    found = dissents([block([[1, 2], [1, 2], [2, 1]], ["a", "b", "c"])], 3, 0.01)["c"]
    stake = sum(part * 3 / (2 * math.exp(-bet / 2) + 1) for bet, part in BETS.items())
    assert found.evidence == pytest.approx(math.log10(stake))
    assert (found.disagreement, found.among_others, found.flagged_at) == (1.0, 0.0, None)


def test_two_annotators_cannot_say_who_is_wrong() -> None:
    found = dissents([block([[1, 2, 3], [3, 2, 1]], ["a", "b"])] * 50, 2, 0.01)
    assert flagged(found) == []
    assert found["a"].prompts == 0


def test_only_who_ranked_equally_many_is_compared() -> None:
    partial = block([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [2, 1, 0, 0]], list("abcd"))
    assert dissents([partial] * 20, 4, 0.01)["d"].prompts == 0
    assert dissents([partial] * 20, 4, 0.01)["a"].prompts == 20


def habits(votes: list[Ranking]) -> Habits:
    found = Habits()
    for vote in votes:
        found.add(vote)
    return found


def test_habits_are_found_and_only_those() -> None:
    rng = random.Random(0)

    def honest(n: int = 40, seconds: float = 30) -> list[Ranking]:
        return [
            Ranking(rng.sample(range(1, 5), 4), shown=rng.sample(range(4), 4), seconds=seconds * rng.uniform(0.5, 2))
            for _ in range(n)
        ]

    people = {f"h{n}": habits(honest()) for n in range(4)}
    assert not any(complaints(people, 0.005).values())
    shown = [rng.sample(range(4), 4) for _ in range(40)]
    odd = {
        "ties": [replace(vote, ranks=[1] * 4) for vote in honest()],
        "order": [Ranking([place + 1 for place in places], shown=places) for places in shown],
        "fast": honest(seconds=2),
        "bad": [replace(vote, all_bad=True) for vote in honest()],
    }
    found = complaints(people | {name: habits(votes) for name, votes in odd.items()}, 0.005)
    assert {name: reasons for name, reasons in found.items() if reasons} == {
        "ties": ["ties all candidates in 40 of 40 votes, the others in 0%"],
        "order": ["keeps the order shown in 40 of 40 votes"],
        "fast": [found["fast"][0]],
        "bad": ["marks all candidates as bad in 40 of 40 votes, the others in 0%"],
    }
    assert found["fast"][0].startswith("takes 2.")


def test_few_votes_are_no_habit() -> None:
    assert complaints({"a": habits([Ranking([1, 1], seconds=0.1)] * 9)}, 0.01) == {"a": []}
    assert complaints({"a": habits([Ranking([1, 1])] * 30)}, 0.01)["a"] == ["ties all candidates in 30 of 30 votes"]


def test_cyclic_triads_by_hand() -> None:
    ring = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert cyclic_triads(ring) == (1, 1)
    assert cyclic_triads(np.triu(np.ones((4, 4), dtype=np.int64), 1)) == (0, 4)
    # Five candidates, each before the next two: the most there can be, (n³ − n)/24 = 5 of 10
    five = np.array([[int((j - i) % 5 in (1, 2)) for j in range(5)] for i in range(5)])
    assert cyclic_triads(five) == (5, 10)


def test_cycles_of_a_majority_and_of_pairwise_comparisons() -> None:
    condorcet = [Ranking([1, 2, 3]), Ranking([3, 1, 2]), Ranking([2, 3, 1])]
    pairwise = [RankedPrompt(asked(1), list(two), [Ranking([1, 2])]) for two in ("xy", "yz", "zx")]
    single = RankedPrompt(asked(2), ["a", "b", "c"], [Ranking([1, 2, 3])])
    found = cycles([RankedPrompt(asked(0), ["a", "b", "c"], condorcet), *pairwise, single])
    assert (found.prompts, found.cyclic, found.share.value) == (2, 2, 1.0)
    first, second = found.examples
    assert first == {"prompt": "question 0", "candidates": ["a", "b", "c"], "votes": ["2:1", "2:1", "2:1"]}
    assert second["candidates"] == ["x", "y", "z"]


def test_position_bias() -> None:
    places = Places()
    for _ in range(30):
        places.add(Ranking([2, 1, 3], shown=[1, 0, 2]))  # the second candidate stood first, and won
    for shown in ([0, 1, 2], [1, 0, 2], [1, 2, 0]):
        places.add(Ranking([1, 1, 1], shown=shown))  # no winner
    found = places.result()
    assert (found.votes, found.first, found.expected) == (30, 1.0, pytest.approx(1 / 3))
    assert found.p == pytest.approx(2 / 3**30)
    assert found.places == [(30.0, pytest.approx(10.0)), (0.0, pytest.approx(10.0)), (0.0, pytest.approx(10.0))]
    assert found.places_p == pytest.approx(math.exp(-30))  # chi-square 60 with 2 degrees of freedom
    assert Places().result().p is None


def test_length_and_models() -> None:
    item = RankedPrompt(asked(), ["long answer", "short", "other"], [Ranking([1, 2, 2])], ["m", "n", "n"])
    assert longer_share([(item, item.rankings[0])]).value == 1.0
    wins = model_wins([item, replace(item, rankings=[Ranking([2, 1, 2])])])
    assert {name: share.value for name, share in wins.items()} == {"n": 0.375, "m": 0.625}
    assert list(wins) == ["m", "n"]


def test_self_consistency_needs_two_judgements() -> None:
    one = RankedPrompt(asked(), ["a", "b", "c"], [Ranking([1, 2, 3], annotator="x", seconds=5.0)])
    again = RankedPrompt(asked(), ["c", "b", "a"], [Ranking([3, 1, 2], annotator="x", seconds=7.0)])
    assert self_consistency([one, one]) == {}  # the same row twice
    assert self_consistency([one, again])["x"].value == pytest.approx(2 / 3)  # b before a is new
    assert self_consistency([one, replace(again, prompt=asked(1))]) == {}


def test_the_whole_report_names_the_planted_one() -> None:
    rng, items = random.Random(1), []
    for number in range(30):
        size = rng.randint(4, 6)
        rankings = [
            Ranking(ranked(rng, size, 0.5 if n == 3 else 0.05), annotator=f"a{n}", shown=rng.sample(range(size), size))
            for n in range(5)
        ]
        items.append(RankedPrompt(asked(number), [f"{c}" * (c + 1) for c in range(size)], rankings))
    found = trust(items)
    assert [one["name"] for one in found["flagged"]] == ["a3"]
    assert "at random" in found["flagged"][0]["reasons"][0]
    assert metrics(found)["annotators"] == 5
    assert 0.5 < metrics(found)["kendall_w"] < 1
    assert found == trust(items)
    assert len(found["partners"]) == 10


def test_one_annotator_without_places_gets_a_short_report() -> None:
    for name in ("", "only"):
        items = [RankedPrompt(asked(n), ["long", "l"], [Ranking([1, 2], annotator=name, origin="f")]) for n in range(3)]
        found = trust(items)
        assert metrics(found) == {
            "annotators": int(bool(name)),
            "flagged": 0 if name else None,
            "kendall_w": None,
            "krippendorff_alpha": None,
            "cycles": None,
        }
        assert found["length"]["longer_wins"]["value"] == 1.0
        assert found["position"]["votes"] == 0
    assert trust([])["rankings"] == 0
