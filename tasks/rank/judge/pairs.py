"""Which pairs the judge compares, and the ranks that follow from what it says."""

import random
from collections.abc import Iterable
from itertools import combinations

Pair = tuple[int, int]


def choose_pairs(count: int, most: int | None, seed: str) -> list[Pair]:
    """Pairs of ``count`` candidates: all, or ``most`` of them.

    The first ones go round in a ring of random order, so that with ``most`` ≥ ``count`` every candidate is compared at
    least twice and all hang together; the others are drawn from the rest. With fewer, some candidates stay without a
    comparison.
    """
    every = list(combinations(range(count), 2))
    if most is None or most >= len(every):
        return every
    rng = random.Random(seed)
    order = rng.sample(range(count), count)
    ring = [_sorted(order[place - 1], order[place]) for place in range(1, count)]
    if count > 2:
        ring.append(_sorted(order[-1], order[0]))
    rest = sorted(set(every) - set(ring))
    return (ring + rng.sample(rest, len(rest)))[:most]


def _sorted(one: int, other: int) -> Pair:
    return (one, other) if one < other else (other, one)


def ranks(count: int, results: Iterable[tuple[int, int, float]]) -> list[int]:
    """Ranks by Copeland's score, won less lost comparisons; equal scores are ties, 0 is a candidate without any.

    results: (candidate, candidate, points of the first: 1 won, 0 lost, ½ tie). Copeland, "A reasonable social welfare
    function" (1951).
    """
    score: dict[int, float] = {}
    for first, second, points in results:
        score[first] = score.get(first, 0.0) + 2 * points - 1
        score[second] = score.get(second, 0.0) + 1 - 2 * points
    order = sorted(set(score.values()), reverse=True)
    return [order.index(score[number]) + 1 if number in score else 0 for number in range(count)]
