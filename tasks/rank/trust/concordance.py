"""Kendall's coefficient of concordance W: how much the annotators of a prompt order its candidates alike."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from tasks.rank.trust.intervals import bootstrap_ratio
from tasks.rank.trust.votes import Block


@dataclass(frozen=True)
class Concordance:
    """The mean of W over prompts, its 95 % interval, and ``chance``: the mean of 1/M, which pure chance gives.

    correlation: the mean of (M·W − 1)/(M − 1), the mean Spearman correlation of two annotators: it does not depend on
    their number M. None without a prompt that two annotators ranked. left_out: prompts whose annotators have fewer
    than two candidates in common, or tied everything.
    """

    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    correlation: float | None
    prompts: int
    left_out: int


def mid_ranks(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ranks with ties as the mean of the places they take: 1, 1, 2 → 1.5, 1.5, 3."""
    order = np.argsort(ranks, kind="stable")
    found = np.empty(len(ranks))
    place = 0
    for _, group in groupby(order, key=lambda index: ranks[index]):
        members = list(group)
        found[members] = place + (len(members) + 1) / 2
        place += len(members)
    return found


def kendall_w(ranks_MN: NDArray[np.int64]) -> float | None:
    """W of M complete rankings of N ≥ 2 candidates, corrected for ties; None when everybody tied everything.

    W = 12 S / (M²(N³ − N) − M Σ T), S the squared deviations of the rank sums from their mean, T = Σ (t³ − t) over
    the groups of t ties of one annotator (Kendall & Babington Smith 1939; Kendall, Rank Correlation Methods, ch. 6).
    """
    count, size = ranks_MN.shape
    sum_N = np.sum([mid_ranks(row) for row in ranks_MN], axis=0)
    ties = sum(int((t**3 - t).sum()) for t in (np.unique(row, return_counts=True)[1] for row in ranks_MN))
    divisor = count**2 * (size**3 - size) - count * ties
    if divisor == 0:
        return None
    return float(12 * ((sum_N - sum_N.mean()) ** 2).sum() / divisor)


def concordance(blocks: list[Block], seed: int) -> Concordance:
    """Prompt by prompt, on the candidates that all annotators of the prompt ranked; each prompt counts once."""
    values, annotators = [], []
    for votes in blocks:
        common = votes.common
        value = kendall_w(votes.ranks_MK[:, common]) if len(common) > 1 else None
        if value is not None:
            values.append(value)
            annotators.append(len(votes.names))
    left_out = len(blocks) - len(values)
    if not values:
        return Concordance(None, None, None, None, None, 0, left_out)
    low, high = bootstrap_ratio(values, [1.0] * len(values), seed)
    pairwise = [(m * w - 1) / (m - 1) for w, m in zip(values, annotators, strict=True)]
    chance = sum(1 / m for m in annotators) / len(values)
    mean = sum(values) / len(values)
    return Concordance(mean, low, high, chance, sum(pairwise) / len(values), len(values), left_out)
