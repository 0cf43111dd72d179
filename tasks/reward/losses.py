"""Ranking losses of a K-way comparison. Pure functions of scores and ranks.

Shapes: R rankings (one annotator's ranking of one prompt each), K the largest number of candidates that one of them
ranked. ``ranks_RK`` counts from 1 for the best; 0 marks padding and takes no part. Equal ranks are ties and never
become an order.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tasks.reward.batches import RankBatch


@dataclass(frozen=True)
class Objective:
    """What is minimised; the defaults are InstructGPT's loss.

    margin: by how much the better score must be ahead, ``margin_scale`` a rank or a point of the ratings.
    centre: weight of the squared sum of a pair's scores. label_smoothing: share of pairs taken to be wrong.
    """

    kind: Literal["pairs", "plackett-luce"] = "pairs"
    margin: Literal["none", "rank", "rating"] = "none"
    margin_scale: float = 1.0
    centre: float = 0.0
    label_smoothing: float = 0.0


def beats(ranks_RK: Tensor) -> Tensor:
    """Bool [R, K, K]: candidate i is ranked strictly better than candidate j, and both are real."""
    real_RK = ranks_RK > 0
    both_RKK = real_RK[:, :, None] & real_RK[:, None, :]
    return both_RKK & (ranks_RK[:, :, None] < ranks_RK[:, None, :])


def mean_of_pairs(value_RKK: Tensor, beats_RKK: Tensor) -> Tensor:
    """Mean over the pairs of each ranking, [R]; 0 without a pair."""
    kept_RKK = torch.where(beats_RKK, value_RKK, torch.zeros_like(value_RKK))
    return kept_RKK.sum((1, 2)) / beats_RKK.sum((1, 2)).clamp(min=1)


def pair_losses(
    scores_RK: Tensor, ranks_RK: Tensor, margin_RKK: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean of -log sigmoid(better - worse - margin) over the pairs of each ranking, [R], in nats; 0 without a pair.

    InstructGPT (Ouyang et al. 2022, section 3.5, equation 1): 1 / (K choose 2) times the sum over pairs. With
    K = 2 it is the Bradley-Terry likelihood. A tied pair gives no pair, and the mean is over those that are left.
    The margin is Llama 2's (Touvron et al. 2023, equation 2). label_smoothing: that share of the loss is of the pair
    the other way round.
    """
    gap_RKK = scores_RK[:, :, None] - scores_RK[:, None, :]
    if margin_RKK is not None:
        gap_RKK = gap_RKK - margin_RKK
    nats_RKK = -logsigmoid(gap_RKK)
    if label_smoothing:
        nats_RKK = (1 - label_smoothing) * nats_RKK - label_smoothing * logsigmoid(-gap_RKK)
    return mean_of_pairs(nats_RKK, beats(ranks_RK))


def plackett_luce_losses(scores_RK: Tensor, ranks_RK: Tensor) -> Tensor:
    """Negative log-likelihood of each ranking under Plackett-Luce, [R], in nats.

    The best is chosen among all by softmax, the next among the rest, and so on (Plackett 1975; Luce 1959).
    Tied candidates do not compete: each is chosen among itself and those ranked worse, so that K candidates all
    tied cost nothing and no order among ties is invented.
    """
    real_RK = ranks_RK > 0
    itself_KK = torch.eye(ranks_RK.shape[1], dtype=torch.bool, device=ranks_RK.device)
    field_RKK = beats(ranks_RK) | (itself_KK & real_RK[:, :, None])
    rivals_RKK = scores_RK[:, None, :].expand(-1, ranks_RK.shape[1], -1)
    # A padded row keeps itself in the field: logsumexp over nothing would be -inf, and its gradient not a number
    open_RKK = field_RKK | (itself_KK & ~real_RK[:, :, None])
    total_RK = rivals_RKK.masked_fill(~open_RKK, -torch.inf).logsumexp(-1)
    return torch.where(real_RK, total_RK - scores_RK, torch.zeros_like(scores_RK)).sum(1)


def margins(ranks_RK: Tensor, ratings_RK: Tensor, objective: Objective) -> Tensor | None:
    """[R, K, K], how far i must be ahead of j: scale times the distance of their ranks or ratings; None without.

    ratings_RK: higher is better, not a number where there is none, which is no margin. Ratings that contradict a rank
    ask for nothing.
    """
    if objective.margin == "none":
        return None
    if objective.margin == "rank":
        ahead_RKK = (ranks_RK[:, None, :] - ranks_RK[:, :, None]).to(ratings_RK.dtype)
    else:
        ahead_RKK = (ratings_RK[:, :, None] - ratings_RK[:, None, :]).nan_to_num(0.0)
    return objective.margin_scale * ahead_RKK.clamp(min=0)


def centring(scores_RK: Tensor, ranks_RK: Tensor) -> Tensor:
    """Mean of (better + worse)² over the pairs of each ranking, [R]: gaps leave the level of scores open, this sets it
    (Eisenstein et al. 2023; TRL's ``center_rewards_coefficient``).
    """
    return mean_of_pairs((scores_RK[:, :, None] + scores_RK[:, None, :]).square(), beats(ranks_RK))


def losses(scores_RK: Tensor, ranks_RK: Tensor, ratings_RK: Tensor, objective: Objective) -> Tensor:
    """Loss of each ranking under the objective, [R], in nats."""
    if objective.kind == "plackett-luce":
        found_R = plackett_luce_losses(scores_RK, ranks_RK)
    else:
        margin_RKK = margins(ranks_RK, ratings_RK, objective)
        found_R = pair_losses(scores_RK, ranks_RK, margin_RKK, objective.label_smoothing)
    return found_R + objective.centre * centring(scores_RK, ranks_RK) if objective.centre else found_R


def ranking_loss(score_BM: Tensor, batch: RankBatch, objective: Objective) -> Tensor:
    """Sum over the prompts of a pass of the mean over annotators of the loss of a ranking; a scalar in nats.

    A prompt counts once, however many pairs and annotators it has. The mean over members, each with its own weights.
    The loss of a step is the sum of its passes over the number of prompts that have a pair.
    """
    members = score_BM.shape[1]
    total = score_BM.new_zeros(())
    for block in batch.blocks:
        for member in range(members):
            scores_RK = score_BM[:, member][block.candidate_RK]
            found_R = losses(scores_RK, block.ranks_RK, block.ratings_RK, objective)
            total = total + (block.weight_RM[:, member] * found_R).sum()
    return total / members


def ordered(score_BM: Tensor, batch: RankBatch) -> tuple[float, int]:
    """How many pairs the members' mean orders rightly, equal scores counting half, and how many there are."""
    right, pairs, score_B = 0.0, 0, score_BM.detach().mean(1)
    for block in batch.blocks:
        beats_RKK, scores_RK = beats(block.ranks_RK), score_B[block.candidate_RK]
        gap_RKK = scores_RK[:, :, None] - scores_RK[:, None, :]
        right += float(((gap_RKK > 0).float() + 0.5 * (gap_RKK == 0).float())[beats_RKK].sum())
        pairs += int(beats_RKK.sum())
    return right, pairs
