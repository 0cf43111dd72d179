"""Cycles: A before B, B before C, and C before A, in what most annotators of a prompt say."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tasks.rank.trust.intervals import Share, grouped_share
from tasks.rankings import RankedPrompt, pairs

EXAMPLES = 5
SHOWN = 80  # characters of a text


@dataclass(frozen=True)
class Cycles:
    """share: of triads of candidates, all three pairs decided by a majority, that are intransitive; chance is 1/4.

    prompts: with a triad. cyclic: prompts with a cycle. examples: prompt and three candidates, each preferred to the
    next one and the last to the first, by how many votes more.
    """

    share: Share
    prompts: int
    cyclic: int
    examples: list[dict[str, object]]


def cyclic_triads(beats_KK: "np.ndarray[tuple[int, int], np.dtype[np.int64]]") -> tuple[int, int]:
    """Intransitive triads and all decided ones of a relation ``beats``: trace(A³)/3, and trace((A + Aᵀ)³)/6.

    Kendall & Babington Smith, "On the method of paired comparisons", Biometrika 31, 1940.
    """
    decided_KK = beats_KK + beats_KK.T
    cyclic = int(np.trace(beats_KK @ beats_KK @ beats_KK)) // 3
    return cyclic, int(np.trace(decided_KK @ decided_KK @ decided_KK)) // 6


def cycles(items: Iterable[RankedPrompt]) -> Cycles:
    """Triads of the majority, prompt by prompt; rankings of different sets of candidates of a prompt are one vote.

    A single ranking of a prompt has no cycles, so such prompts are left out.
    """
    prompts: defaultdict[str, list[RankedPrompt]] = defaultdict(list)
    for item in items:
        prompts[item.prompt_key].append(item)
    hits: list[float] = []
    totals: list[float] = []
    examples: list[dict[str, object]] = []
    for same in prompts.values():
        if sum(len(item.rankings) for item in same) < 2:
            continue
        texts, votes_KK = _votes(same)
        beats_KK = (votes_KK > votes_KK.T).astype(np.int64)
        cyclic, triads = cyclic_triads(beats_KK)
        hits.append(float(cyclic))
        totals.append(float(triads))
        if cyclic and len(examples) < EXAMPLES:
            examples.append(_example(same[0], texts, votes_KK, beats_KK))
    share = grouped_share(hits, totals)
    return Cycles(share, sum(t > 0 for t in totals), sum(h > 0 for h in hits), examples)


def _votes(same: list[RankedPrompt]) -> "tuple[list[str], np.ndarray]":
    """All candidates of a prompt, and how many rankings put the row's candidate before the column's."""
    texts = list(dict.fromkeys(text for item in same for text in item.candidates))
    number = {text: index for index, text in enumerate(texts)}
    votes_KK = np.zeros((len(texts), len(texts)), dtype=np.int64)
    for item in same:
        for ranking in item.ranks:
            for better, worse in pairs(ranking):
                votes_KK[number[item.candidates[better]], number[item.candidates[worse]]] += 1
    return texts, votes_KK


def _example(item: RankedPrompt, texts: list[str], votes_KK: "np.ndarray", beats_KK: "np.ndarray") -> dict[str, object]:
    for i, j, k in combinations(range(len(texts)), 3):
        for ring in ((i, j, k), (k, j, i)):
            steps = [(ring[0], ring[1]), (ring[1], ring[2]), (ring[2], ring[0])]
            if all(beats_KK[step] for step in steps):
                return {
                    "prompt": item.prompt[-1]["content"][:SHOWN],
                    "candidates": [texts[index][:SHOWN] for index in ring],
                    "votes": [f"{votes_KK[a, b]}:{votes_KK[b, a]}" for a, b in steps],
                }
    raise ValueError("no intransitive triad")
