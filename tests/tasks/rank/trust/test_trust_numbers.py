"""The statistics by hand, and as scipy 1.17 and krippendorff 0.9 give them on the same input."""

from itertools import product
from math import isnan, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.rank.trust.agreement import agreements, overall
from tasks.rank.trust.concordance import concordance, kendall_w, mid_ranks
from tasks.rank.trust.exact import chi_square_above, fisher_above, two_sided, upper_tail
from tasks.rank.trust.intervals import bootstrap_ratio, grouped_share, wilson
from tasks.rank.trust.reliability import alpha, interval, ordinal, rank_alpha, vote_alpha
from tasks.rank.trust.votes import block, compare


@pytest.mark.parametrize(
    ("value", "degrees", "known"),
    [(3.84, 1, 0.0500435212), (5.99, 2, 0.0500366271), (10.0, 5, 0.0752352461), (20.0, 9, 0.0179124045), (0, 3, 1)],
)
def test_chi_square_tail_is_scipys(value: float, degrees: int, known: float) -> None:
    assert chi_square_above(value, degrees) == pytest.approx(known, abs=1e-10)


def test_exact_tails() -> None:
    assert fisher_above(9, 20, 3, 60) == pytest.approx(1.0099837e-4, rel=1e-6)  # scipy.stats.fisher_exact
    assert two_sided(15, [0.25] * 20) == pytest.approx(7.62605487e-6, rel=1e-6)  # 2 · scipy.stats.binom.sf(14, 20, ¼)
    assert upper_tail(3, [0.5, 0.25, 0.1, 0.9]) == pytest.approx(0.15875)  # all 16 outcomes, by hand
    assert upper_tail(0, [0.1]) == 1.0
    assert upper_tail(2, [0.1]) == 0.0


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=7), st.integers(0, 8))
def test_the_tail_is_the_sum_over_all_outcomes(chances: list[float], hits: int) -> None:
    outcomes = product((0, 1), repeat=len(chances))
    known = sum(prod(p if b else 1 - p for p, b in zip(chances, o, strict=True)) for o in outcomes if sum(o) >= hits)
    assert upper_tail(hits, chances) == pytest.approx(known, abs=1e-12)


def test_many_votes_are_approximated_well() -> None:
    exact, near = upper_tail(2600, [0.5] * 5000), upper_tail(2601, [0.5] * 5001)
    assert near == pytest.approx(exact, rel=0.05)


def test_wilson_and_its_effective_number() -> None:
    assert wilson(0.9, 10) == pytest.approx((0.5958499732, 0.9821237869))  # scipy binomtest, method wilson
    # Ten prompts whose 10 pairs are all right or all wrong are ten observations, not a hundred
    whole = grouped_share([10, 10, 10, 10, 10, 10, 10, 10, 10, 0], [10] * 10)
    assert (whole.value, whole.low, whole.high) == pytest.approx((0.9, 0.5958499732, 0.9821237869))
    spread = grouped_share([9] * 10, [10] * 10)
    assert (spread.low, spread.high) == pytest.approx(wilson(0.9, 100))
    assert grouped_share([], []).value is None


def test_the_bootstrap_is_seeded_and_covers() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(5, 1, 100).tolist()
    low, high = bootstrap_ratio(values, [1.0] * 100, 3)
    assert (low, high) == bootstrap_ratio(values, [1.0] * 100, 3)
    assert high - low == pytest.approx(2 * 1.96 * np.std(values) / 10, rel=0.15)
    assert isnan(bootstrap_ratio([0.0], [0.0], 0)[0])


def test_mid_ranks() -> None:
    assert mid_ranks(np.array([2, 1, 1, 3])).tolist() == [3, 1.5, 1.5, 4]


def test_kendall_w() -> None:
    # Rank sums 4, 7, 7, 12 of mean 7.5: S = 33; the Friedman statistic of scipy over m(n − 1) is the same
    rows = np.array([[1, 2, 3, 4], [1, 3, 2, 4], [2, 1, 3, 4]])
    assert kendall_w(rows) == pytest.approx(7 / 9)
    assert kendall_w(np.array([[1, 1, 2, 3], [1, 2, 2, 3], [2, 1, 3, 3]])) == pytest.approx(0.8271604938)  # ties
    assert kendall_w(np.array([[1, 2, 3]] * 4)) == pytest.approx(1)
    assert kendall_w(np.array([[1, 2, 3], [3, 2, 1]])) == pytest.approx(0)
    assert kendall_w(np.array([[1, 1, 1]] * 2)) is None


def test_concordance_takes_what_all_ranked_and_each_prompt_once() -> None:
    found = concordance(
        [
            block([[1, 2, 3, 0], [1, 2, 3, 4]], ["a", "b"]),  # three in common, in one order: 1
            block([[1, 2, 3], [3, 2, 1]], ["a", "b"]),  # 0
            block([[1, 0, 2], [0, 1, 2]], ["a", "b"]),  # one in common
        ],
        0,
    )
    assert (found.value, found.chance, found.correlation) == (0.5, 0.5, 0.0)
    assert (found.prompts, found.left_out) == (2, 1)
    assert concordance([], 0).value is None


# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C
RELIABILITY = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def test_alpha_of_the_paper_with_missing_data() -> None:
    units = [[[value for value in column if value is not None]] for column in zip(*RELIABILITY, strict=True)]
    assert alpha(units, ordinal, 0).value == pytest.approx(0.8153875038)  # .815 in the paper
    assert alpha(units, interval, 0).value == pytest.approx(0.8491071429)  # .849
    assert alpha(units, ordinal, 0).units == 11  # the last has one value
    assert alpha([[[1.0, 1.0]]], ordinal, 0).value is None


def test_alpha_of_ranks_and_of_votes() -> None:
    blocks = [
        block([[1, 2, 3], [2, 1, 3], [1, 2, 3]], ["a", "b", "c"]),
        block([[1, 1, 2], [1, 2, 3]], ["a", "b"]),
    ]
    assert rank_alpha(blocks, 0).value == pytest.approx(0.6763005780)  # krippendorff 0.9 on the mid-ranks
    votes = vote_alpha([block([[1, 2, 3], [1, 2, 2], [2, 3, 1]], ["a", "b", "c"])], 0)
    assert votes.value == pytest.approx(0.1736111111)
    assert votes.units == 3
    assert vote_alpha([block([[1, 2, 3], [1, 2, 3]], ["a", "b"])], 0).value == pytest.approx(1)


def test_two_annotators_pair_by_pair() -> None:
    found = compare(block([[1, 2, 2, 3, 4], [1, 3, 2, 2, 4]], ["a", "b"]))
    # 10 pairs: 7 alike, 1 against (candidates 2 and 4), the other two tied by one of them
    assert [matrix[0, 1] for matrix in (found.pairs, found.same, found.opposite, found.half)] == [10, 7, 1, 2]
    assert found.tau_b[0, 1] == pytest.approx(2 / 3)  # scipy.stats.kendalltau
    assert found.disagreement[0, 1] == pytest.approx(0.2)
    assert compare(block([[1, 2, 3, 4], [4, 3, 1, 2]], ["a", "b"])).tau_b[0, 1] == pytest.approx(-2 / 3)


def test_partial_rankings_are_compared_where_both_ranked() -> None:
    found = compare(block([[1, 2, 0, 3], [2, 1, 3, 0]], ["a", "b"]))
    assert found.pairs[0, 1] == 1
    assert found.opposite[0, 1] == 1
    assert isnan(compare(block([[1, 0], [0, 1]], ["a", "b"])).disagreement[0, 1])


def test_agreement_of_each_with_the_others() -> None:
    alone, paired = agreements([block([[1, 2, 3], [1, 2, 3], [3, 2, 1]], ["a", "b", ""])] * 4, 0)
    assert alone["a"].share.value == 0.5  # with b on 3 of 3, with the nameless on 0 of 3
    assert alone["a"].tau_b == 0.0
    assert list(paired) == [("a", "b")]
    assert paired["a", "b"].share.value == 1.0
    assert paired["a", "b"].share.low == pytest.approx(wilson(1.0, 4)[0])  # four prompts, not twelve pairs
    assert overall([block([[1, 2], [2, 1]], ["a", "b"])]).value == 0.0
