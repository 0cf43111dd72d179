"""Exact tail probabilities of counts, and of the chi-square statistic: no table, no approximation up to MOST votes."""

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np

MOST = 5000  # terms of an exact sum of chances; beyond it the normal approximation is right to many digits


def upper_tail(hits: int, chances: Iterable[float]) -> float:
    """P(at least ``hits`` of independent events happen), event i with chance i: the Poisson binomial distribution.

    Equal chances are taken together, so the sum is a convolution of few binomial distributions.
    """
    counts = Counter(chances)
    total = sum(counts.values())
    if hits <= 0:
        return 1.0
    if hits > total:
        return 0.0
    if total > MOST:
        mean = sum(p * n for p, n in counts.items())
        deviation = math.sqrt(sum(p * (1 - p) * n for p, n in counts.items()))
        return math.erfc((hits - 0.5 - mean) / (deviation * math.sqrt(2))) / 2 if deviation else float(hits <= mean)
    law = np.ones(1)
    for chance, number in sorted(counts.items()):
        law = np.convolve(law, _binomial(number, chance))
    return float(min(law[hits:].sum(), 1.0))


def _binomial(number: int, chance: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    if chance <= 0 or chance >= 1:
        law = np.zeros(number + 1)
        law[number if chance >= 1 else 0] = 1.0
        return law
    logs = [
        math.lgamma(number + 1)
        - math.lgamma(k + 1)
        - math.lgamma(number - k + 1)
        + k * math.log(chance)
        + (number - k) * math.log1p(-chance)
        for k in range(number + 1)
    ]
    return np.exp(np.array(logs))


def two_sided(hits: int, chances: Iterable[float]) -> float:
    """Twice the smaller tail, at most 1: whether ``hits`` is far from what the chances give, in either direction."""
    listed = list(chances)
    below = upper_tail(len(listed) - hits, [1 - chance for chance in listed])
    return min(2 * min(upper_tail(hits, listed), below), 1.0)


def fisher_above(hits: int, total: int, other_hits: int, other_total: int) -> float:
    """P(at least ``hits`` of the hits fall on ``total`` of all observations), one-sided (Fisher's exact test)."""
    every, marked = total + other_total, hits + other_hits

    def log_comb(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    most = min(total, marked)
    terms = [
        log_comb(marked, k) + log_comb(every - marked, total - k) - log_comb(every, total)
        for k in range(max(hits, marked - other_total), most + 1)
    ]
    return min(sum(map(math.exp, terms)), 1.0)


def chi_square_above(value: float, degrees: int) -> float:
    """P(chi-square with ``degrees`` of freedom ≥ ``value``): Q(degrees/2, value/2) by its recurrence.

    Q(1/2, x) = erfc √x, Q(1, x) = e^−x, Q(a+1, x) = Q(a, x) + x^a e^−x / Γ(a+1) (Abramowitz & Stegun 6.5.21).
    """
    x = value / 2
    if x <= 0:
        return 1.0
    a = 0.5 if degrees % 2 else 1.0
    found = math.erfc(math.sqrt(x)) if degrees % 2 else math.exp(-x)
    while a < degrees / 2:
        found += math.exp(a * math.log(x) - x - math.lgamma(a + 1))
        a += 1
    return min(found, 1.0)
