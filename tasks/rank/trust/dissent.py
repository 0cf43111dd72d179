"""Who disagrees with all others: a bet against each annotator, settled prompt by prompt.

If the annotators of a prompt are alike, whose ranking is the odd one out is a matter of luck: given the rankings of
the prompt, every assignment of them to its annotators is equally likely. Bet on one annotator: each prompt multiplies
the stake by exp(λ·x) / mean of exp(λ·x) over the annotators of the prompt, x being the share of pairs on which an
annotator disagrees with the others. Under the assumption a factor has the mean 1 exactly, whatever the prompt's
difficulty, so the stake is a test martingale, and reaches 1/α with a probability of at most α, however often one looks
(Ville 1939; Shafer, "Testing by betting", JRSS A 2021; Ramdas et al., "Game-theoretic statistics and safe anytime-valid
inference", Statistical Science 2023). The weighted mean over several λ is such a stake again. With N annotators the
limit is N/α, so the chance that a report accuses anybody who is honest stays below α (Bonferroni).
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tasks.rank.trust.votes import Block, compare

# λ and its part of the stake: careful bets find the one who errs a little more often than others, who err as well;
# bold ones the one who errs among those who do not, of which there may be few occasions
BETS = {2.0: 0.1, 5.0: 0.1, 12.0: 0.2, 40.0: 0.6}
MARGIN = 0.05  # disagreement above the others' below which nobody is accused, however certain it is


@dataclass(frozen=True)
class Dissent:
    """disagreement: mean share of pairs on which the annotator disagrees with the others; among_others: the same
    among the others without the annotator, on the same prompts. evidence: log10 of the highest stake. flagged_at: the
    annotator's prompt, from 1, at which the limit was reached, None when it was not. prompts: with three or more.
    """

    disagreement: float | None
    among_others: float | None
    evidence: float
    flagged_at: int | None
    prompts: int

    @property
    def flagged(self) -> bool:
        return self.flagged_at is not None and self.excess >= MARGIN

    @property
    def excess(self) -> float:
        return (self.disagreement or 0.0) - (self.among_others or 0.0)


@dataclass
class _Account:
    stakes: list[float] = field(default_factory=lambda: [math.log(part) for part in BETS.values()])  # logarithms
    best: float = 0.0
    flagged_at: int | None = None
    votes: int = 0
    own: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)

    def settle(self, factors: list[float], limit: float) -> None:
        self.stakes = [stake + factor for stake, factor in zip(self.stakes, factors, strict=True)]
        top = max(self.stakes)
        mean = top + math.log(sum(math.exp(stake - top) for stake in self.stakes))
        self.best = max(self.best, mean)
        if self.flagged_at is None and mean >= limit:
            self.flagged_at = self.votes

    def result(self) -> Dissent:
        own = sum(self.own) / len(self.own) if self.own else None
        rest = sum(self.rest) / len(self.rest) if self.rest else None
        return Dissent(own, rest, self.best / math.log(10), self.flagged_at, len(self.own))


def dissents(blocks: Iterable[Block], annotators: int, alpha: float) -> dict[str, Dissent]:
    """The account of each named annotator. blocks: in the order of time, prompts with one ranking included.

    annotators: how many are tested. alpha: chance that anybody is flagged although all are alike.
    """
    limit = math.log(max(annotators, 1) / alpha)
    accounts: defaultdict[str, _Account] = defaultdict(_Account)
    for votes in blocks:
        for name in set(votes.names) - {""}:
            accounts[name].votes += 1
        for members, x_M, rest_M in _groups(votes):
            scaled = [bet * x_M for bet in BETS]
            level = [row.max() + math.log(np.exp(row - row.max()).mean()) for row in scaled]
            for place, index in enumerate(members):
                if name := votes.names[index]:
                    account = accounts[name]
                    account.own.append(float(x_M[place]))
                    account.rest.append(float(rest_M[place]))
                    account.settle([float(row[place] - mean) for row, mean in zip(scaled, level, strict=True)], limit)
    return {name: account.result() for name, account in sorted(accounts.items())}


def _groups(votes: Block) -> "list[tuple[list[int], np.ndarray, np.ndarray]]":
    """Annotators of a prompt who may be exchanged for each other: three or more that ranked equally many candidates.

    With each group the disagreement of its members with the others, and that of the others among themselves.
    """
    count = len(votes.names)
    if count < 3 or len(set(votes.names) - {""}) + votes.names.count("") < count:
        return []  # two cannot say which of them is wrong; one name twice cannot be exchanged
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, ranked in enumerate((votes.ranks_MK > 0).sum(axis=1).tolist()):
        groups[ranked].append(index)
    found = []
    for members in groups.values():
        if len(members) > 2:
            names = [votes.names[member] for member in members]
            part = Block(names, votes.ranks_MK[members], votes.sign_MKK[members], votes.both_MKK[members])
            disagreement_MM = compare(part).disagreement
            if not np.isnan(disagreement_MM[~np.eye(len(members), dtype=bool)]).any():
                np.fill_diagonal(disagreement_MM, 0.0)
                sum_M, size = disagreement_MM.sum(axis=1), len(members)
                rest_M = (disagreement_MM.sum() - 2 * sum_M) / ((size - 1) * (size - 2))
                found.append((members, sum_M / (size - 1), rest_M))
    return found
