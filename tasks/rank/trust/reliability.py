"""Krippendorff's alpha with missing data: agreement beyond chance of any number of annotators."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.rank.trust.concordance import mid_ranks
from tasks.rank.trust.intervals import bootstrap_ratio
from tasks.rank.trust.votes import Block

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Alpha:
    """1 is full agreement, 0 what chance gives, below 0 systematic disagreement; None when it is not defined.

    units: what at least two annotators judged. low, high: 95 % by bootstrap over prompts.
    """

    value: float | None
    low: float | None
    high: float | None
    units: int


def ordinal(count_V: Matrix) -> Matrix:
    """Squared distances of V ordered values: (n_c/2 + what lies between + n_k/2)² (Krippendorff 2011, section D)."""
    reached_V = count_V.cumsum() - count_V / 2
    return (reached_V[:, None] - reached_V[None, :]) ** 2


def interval(count_V: Matrix) -> Matrix:
    """Squared distances of V evenly spaced values; with two values their distance has no influence on α."""
    place_V = np.arange(len(count_V), dtype=np.float64)
    return (place_V[:, None] - place_V[None, :]) ** 2


def alpha(prompts: Sequence[Sequence[Sequence[float]]], distance: Callable[[Matrix], Matrix], seed: int) -> Alpha:
    """α = 1 − D_observed / D_expected from the coincidences of values in units, units grouped by prompt.

    prompts: of each its units, of each unit the values that were given. A unit with one value is left out: it can be
    compared with nothing. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). The interval resamples
    the observed disagreement by prompt and keeps the expected one, as in Hayes & Krippendorff (2007).
    """
    grouped = [[list(unit) for unit in units if len(unit) > 1] for units in prompts]
    number = {value: index for index, value in enumerate(sorted({v for units in grouped for u in units for v in u}))}
    if len(number) < 2:
        return Alpha(None, None, None, sum(map(len, grouped)))
    counts = [_counts(units, number) for units in grouped]
    total_V = np.sum([count_UV.sum(axis=0) for count_UV in counts], axis=0)
    total = float(total_V.sum())
    distance_VV = distance(total_V)
    expected = float(total_V @ distance_VV @ total_V) / (total * (total - 1))
    observed = [_observed(count_UV, distance_VV) for count_UV in counts]
    sizes = [float(count_UV.sum()) for count_UV in counts]
    low, high = bootstrap_ratio(observed, sizes, seed)
    value = 1 - sum(observed) / total / expected
    return Alpha(value, 1 - high / expected, 1 - low / expected, sum(map(len, grouped)))


def _counts(units: list[list[float]], number: dict[float, int]) -> Matrix:
    count_UV = np.zeros((len(units), len(number)))
    for row, unit in enumerate(units):
        for value in unit:
            count_UV[row, number[value]] += 1
    return count_UV


def _observed(count_UV: Matrix, distance_VV: Matrix) -> float:
    """Σ over units of the distances of all ordered pairs of their values, divided by the unit's values less one."""
    if not len(count_UV):
        return 0.0
    paired_U = ((count_UV @ distance_VV) * count_UV).sum(axis=1)
    return float((paired_U / (count_UV.sum(axis=1) - 1)).sum())


def rank_alpha(blocks: list[Block], seed: int) -> Alpha:
    """Ordinal α on the places of the candidates; a unit is one candidate of one prompt.

    Places are mid-ranks as a share of the candidates, among those that all annotators of the prompt ranked, so that
    prompts with different numbers of candidates have one scale.
    """
    prompts = []
    for votes in blocks:
        common = votes.common
        if len(common) > 1:
            places_MN = np.array([(mid_ranks(row[common]) - 0.5) / len(common) for row in votes.ranks_MK])
            prompts.append(places_MN.round(9).T.tolist())
    return alpha(prompts, ordinal, seed)


def vote_alpha(blocks: list[Block], seed: int) -> Alpha:
    """Interval α on the votes on pairs: worse −1, tie 0, better 1; a unit is one pair of candidates of one prompt.

    Each pair is counted in both directions, so that the order in which candidates are stored has no part in what
    chance would give. Partial rankings vote on the pairs that they rank.
    """
    prompts = []
    for votes in blocks:
        size = votes.ranks_MK.shape[1]
        units = []
        for i in range(size):
            for j in range(i + 1, size):
                given = votes.sign_MKK[votes.both_MKK[:, i, j], i, j].astype(float).tolist()
                if len(given) > 1:
                    units += [given, [-value for value in given]]
        prompts.append(units)
    found = alpha(prompts, interval, seed)
    return Alpha(found.value, found.low, found.high, found.units // 2)
