"""How often annotators agree: every two of them, and each with all the others."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from tasks.rank.trust.intervals import Share, bootstrap_ratio, grouped_share
from tasks.rank.trust.votes import Block, compare


@dataclass(frozen=True)
class Agreement:
    """share: of pairs of candidates ordered alike, a tie against a decision counted half; its 95 % interval.

    tau_b: Kendall's τ_b, the mean over prompts and partners, None where it is not defined; tau_low, tau_high: its
    95 % interval by bootstrap over prompts. prompts: that both ranked.
    """

    share: Share
    tau_b: float | None
    tau_low: float | None
    tau_high: float | None
    prompts: int


@dataclass
class _Tally:
    """What is counted of two annotators, or of one and the others: one entry a prompt."""

    agreed: list[float] = field(default_factory=list)
    pairs: list[float] = field(default_factory=list)
    tau: list[float] = field(default_factory=list)
    taus: list[float] = field(default_factory=list)

    def add(self, agreed: float, pairs: float, tau_b: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> None:
        if pairs:
            known = tau_b[~np.isnan(tau_b)]
            self.agreed.append(agreed)
            self.pairs.append(pairs)
            self.tau.append(float(known.sum()))
            self.taus.append(float(len(known)))

    def result(self, seed: int) -> Agreement:
        share = grouped_share(self.agreed, self.pairs)
        if not (count := sum(self.taus)):
            return Agreement(share, None, None, None, len(self.pairs))
        low, high = bootstrap_ratio(self.tau, self.taus, seed)
        return Agreement(share, sum(self.tau) / count, low, high, len(self.pairs))


def agreements(blocks: list[Block], seed: int) -> tuple[dict[str, Agreement], dict[tuple[str, str], Agreement]]:
    """Agreement of each named annotator with all the others, and of every two named annotators.

    Rankings without a name are among the others. Nobody is compared with a ranking of the same name.
    """
    alone: defaultdict[str, _Tally] = defaultdict(_Tally)
    paired: defaultdict[tuple[str, str], _Tally] = defaultdict(_Tally)
    for votes in blocks:
        found = compare(votes)
        agreed = found.pairs - found.opposite - found.half / 2
        for i, name in enumerate(votes.names):
            if not name:
                continue
            others = np.array([j for j, other in enumerate(votes.names) if other != name], dtype=int)
            alone[name].add(agreed[i, others].sum(), found.pairs[i, others].sum(), found.tau_b[i, others])
            for j in others:
                if name < votes.names[j]:
                    paired[name, votes.names[j]].add(agreed[i, j], found.pairs[i, j], found.tau_b[i, j : j + 1])
    return (
        {name: tally.result(seed) for name, tally in sorted(alone.items())},
        {names: tally.result(seed) for names, tally in sorted(paired.items())},
    )


def overall(blocks: list[Block]) -> Share:
    """Share of pairs of candidates on which two rankings of the same prompt agree, whoever made them."""
    hits, totals = [], []
    for votes in blocks:
        found = compare(votes)
        hits.append(float((found.pairs - found.opposite - found.half / 2).sum()) / 2)
        totals.append(float(found.pairs.sum()) / 2)
    return grouped_share(hits, totals)
