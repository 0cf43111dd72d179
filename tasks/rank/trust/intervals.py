"""Confidence intervals of shares and means over groups: the pairs of a prompt are not independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
RESAMPLES = 1000
AT_ONCE = 1_000_000  # numbers drawn at once, 8 MB


@dataclass(frozen=True)
class Share:
    """hits of total, and the 95 % interval of their share. All None without observations."""

    value: float | None
    low: float | None
    high: float | None
    total: float


def wilson(share: float, count: float) -> tuple[float, float]:
    """The 95 % score interval of a share of ``count`` observations (Wilson, JASA 22, 1927)."""
    middle = share + Z95**2 / (2 * count)
    spread = Z95 * math.sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2))
    whole = 1 + Z95**2 / count
    # Rounding may leave −1e-17 at a share of 0
    return max((middle - spread) / whole, 0.0), min((middle + spread) / whole, 1.0)


def grouped_share(hits: Sequence[float], totals: Sequence[float]) -> Share:
    """A share over groups (prompts): Wilson's interval with the effective number of observations.

    hits, totals: one a group. The variance is the ratio estimator's over groups (Cochran, Sampling Techniques, 6.4);
    the effective number is share · (1 − share) / variance, between the number of groups and that of observations
    (Dean & Pagano, "Evaluating confidence interval methods for binomial proportions in clustered surveys", 2015).
    """
    kept = [(hit, total) for hit, total in zip(hits, totals, strict=True) if total > 0]
    total = sum(t for _, t in kept)
    if not total:
        return Share(None, None, None, 0)
    groups = min(float(len(kept)), total)
    share = sum(h for h, _ in kept) / total
    effective = groups
    if len(kept) > 1 and 0 < share < 1:
        spread = sum((hit - share * size) ** 2 for hit, size in kept)
        variance = len(kept) / (len(kept) - 1) * spread / total**2
        effective = min(max(share * (1 - share) / variance, groups), total) if variance else total
    return Share(share, *wilson(share, effective), total)


def bootstrap_ratio(above: Sequence[float], below: Sequence[float], seed: int) -> tuple[float, float]:
    """The 95 % percentile interval of Σ above / Σ below, groups (prompts) drawn with replacement.

    (nan, nan) when nothing lies below. Efron & Tibshirani, An Introduction to the Bootstrap, ch. 13.
    """
    above_G, below_G = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if not below_G.sum():
        return math.nan, math.nan
    rng, size = np.random.default_rng(seed), len(above_G)
    sums: list[NDArray[np.float64]] = []
    at_once = max(AT_ONCE // size, 1)
    for done in range(0, RESAMPLES, at_once):
        drawn_RG = rng.integers(0, size, (min(at_once, RESAMPLES - done), size))
        sums.append(np.stack([above_G[drawn_RG].sum(axis=1), below_G[drawn_RG].sum(axis=1)]))
    above_R, below_R = np.concatenate(sums, axis=1)
    low, high = np.percentile(above_R[below_R > 0] / below_R[below_R > 0], [2.5, 97.5])
    return float(low), float(high)
