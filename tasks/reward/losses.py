"""Ranking losses of a K-way comparison. Pure functions of scores and ranks.

Shapes: R rankings (one annotator's ranking of one prompt each), K the largest number of candidates among them.
``ranks_RK`` counts from 1 for the best; 0 marks padding. Equal ranks are ties and never become an order.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def beats(ranks_RK: Tensor) -> Tensor:
    """Bool [R, K, K]: candidate i is ranked strictly better than candidate j, and both are real."""
    real_RK = ranks_RK > 0
    both_RKK = real_RK[:, :, None] & real_RK[:, None, :]
    return both_RKK & (ranks_RK[:, :, None] < ranks_RK[:, None, :])


def pair_losses(scores_RK: Tensor, ranks_RK: Tensor) -> Tensor:
    """Mean of -log sigmoid(better - worse) over the pairs of each ranking, [R], in nats; 0 without a pair.

    InstructGPT (Ouyang et al. 2022, section 3.5, equation 1): 1 / (K choose 2) times the sum over pairs. With
    K = 2 it is the Bradley-Terry likelihood. A tied pair gives no pair, and the mean is over those that are left.
    """
    beats_RKK = beats(ranks_RK)
    gap_RKK = scores_RK[:, :, None] - scores_RK[:, None, :]
    nats_RKK = torch.where(beats_RKK, -logsigmoid(gap_RKK), torch.zeros_like(gap_RKK))
    return nats_RKK.sum((1, 2)) / beats_RKK.sum((1, 2)).clamp(min=1)


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


OBJECTIVES = {"pairs": pair_losses, "plackett-luce": plackett_luce_losses}


def ranking_weights(ranks_RK: Tensor, prompt_R: Tensor) -> tuple[Tensor, int]:
    """Weight of each ranking, [R], and the number P of prompts that have a pair.

    A prompt counts once, however many pairs and annotators it has: its rankings that hold a pair share the weight
    1. The loss of a batch is ``(weight_R * losses_R).sum() / P``. ``prompt_R`` numbers the prompts from 0.
    """
    has_pair_R = beats(ranks_RK).any(-1).any(-1)
    count = int(prompt_R.max()) + 1 if len(prompt_R) else 0
    annotators_P = torch.zeros(count, device=ranks_RK.device).index_add(0, prompt_R, has_pair_R.float())
    weight_R = has_pair_R / annotators_P[prompt_R].clamp(min=1)
    return weight_R, int((annotators_P > 0).sum())


def ranking_loss(scores_RK: Tensor, ranks_RK: Tensor, prompt_R: Tensor, objective: str) -> Tensor:
    """Mean over prompts of the mean over annotators of the loss of a ranking; a scalar in nats.

    objective: "pairs" or "plackett-luce". 0 when no prompt has a pair.
    """
    weight_R, prompts = ranking_weights(ranks_RK, prompt_R)
    return (weight_R * OBJECTIVES[objective](scores_RK, ranks_RK)).sum() / max(prompts, 1)
