"""Rankings as matrices of signs: what agreement, dissent and cycles are counted on."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.rankings import RankedPrompt

Signs = NDArray[np.int8]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """The M rankings of one prompt's K candidates.

    names: of the annotators, "" when unknown. ranks_MK: 0 is not ranked. sign_MKK: 1 where the row's candidate is
    better than the column's, −1 where it is worse, 0 for a tie. both_MKK: whether both are ranked.
    """

    names: list[str]
    ranks_MK: NDArray[np.int64]
    sign_MKK: Signs
    both_MKK: NDArray[np.bool_]

    @property
    def common(self) -> NDArray[np.int64]:
        """Numbers of the candidates that every annotator ranked."""
        return np.flatnonzero((self.ranks_MK > 0).all(axis=0))


@dataclass(frozen=True)
class Compared:
    """What each two of M annotators say of the pairs of candidates that both ranked; all matrices are M × M.

    pairs: how many. opposite: both decided, and against each other. same: both decided, alike. half: one decided and
    the other saw a tie. tau_b: Kendall's τ_b, nan where one of them tied everything.
    """

    pairs: Matrix
    same: Matrix
    opposite: Matrix
    half: Matrix
    tau_b: Matrix

    @property
    def disagreement(self) -> Matrix:
        """Share of the pairs on which two annotators disagree, a tie against a decision counted half; nan without."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.opposite + self.half / 2) / self.pairs


def block(ranks: list[list[int]], names: list[str]) -> Block:
    """M rankings of the same K candidates as signs."""
    ranks_MK = np.asarray(ranks, dtype=np.int64)
    both_MKK = (ranks_MK[:, :, None] > 0) & (ranks_MK[:, None, :] > 0)
    sign_MKK = np.sign(ranks_MK[:, None, :] - ranks_MK[:, :, None]) * both_MKK
    return Block(names, ranks_MK, sign_MKK.astype(np.int8), both_MKK)


def shared_blocks(items: Iterable[RankedPrompt]) -> list[Block]:
    """A block for each item that at least two rankings judge."""
    return [
        block(item.ranks, [ranking.annotator for ranking in item.rankings]) for item in items if len(item.rankings) > 1
    ]


def compare(votes: Block) -> Compared:
    """Every two annotators of a block, pair of candidates by pair.

    τ_b = (concordant − discordant) / √(decided by one · decided by the other), over the pairs both ranked
    (Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945).
    """
    count, size = votes.ranks_MK.shape
    above = np.triu_indices(size, 1)
    sign_MP = votes.sign_MKK[:, above[0], above[1]].astype(np.float64)
    both_MP = votes.both_MKK[:, above[0], above[1]].astype(np.float64)
    decided_MP = np.abs(sign_MP)
    pairs, product, decided = both_MP @ both_MP.T, sign_MP @ sign_MP.T, decided_MP @ decided_MP.T
    mine = decided_MP @ both_MP.T  # pairs that the row's annotator decided, of those both ranked
    with np.errstate(invalid="ignore", divide="ignore"):
        tau_b = product / np.sqrt(mine * mine.T)
    half = mine + mine.T - 2 * decided
    same, opposite = (decided + product) / 2, (decided - product) / 2
    own = np.eye(count, dtype=bool)
    for matrix in (pairs, same, opposite, half):
        matrix[own] = 0.0
    tau_b[own] = np.nan
    return Compared(pairs, same, opposite, half, tau_b)
