"""The clipped losses of PPO (Schulman et al. 2017), as sums over tokens.

Sums and not means: a minibatch may be split over micro-batches and processes, and is divided once, by the
number of tokens of the whole minibatch. Means of means would weigh a short micro-batch like a long one.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class LossSums(NamedTuple):
    """Sums over unmasked tokens; divide by ``tokens`` of the whole minibatch."""

    loss: Tensor
    clipped: Tensor  # tokens whose clipped loss was the larger one
    tokens: Tensor


class PolicySums(NamedTuple):
    """Sums over unmasked tokens; divide by ``tokens`` of the whole minibatch."""

    loss: Tensor
    clipped: Tensor  # tokens whose clipped loss was the larger one
    dual: Tensor  # tokens whose loss the dual clip bounded
    ratio: Tensor
    tokens: Tensor


def masked_sum(value_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Sum over unmasked elements; whatever stands on padding, NaN included, changes nothing."""
    return torch.where(mask_BT, value_BT, torch.zeros_like(value_BT)).sum()


def policy_loss(
    logp_BT: Tensor,
    old_logp_BT: Tensor,
    advantage_BT: Tensor,
    mask_BT: Tensor,
    clip: float,
    dual_clip: float | None = None,
) -> PolicySums:
    """Clipped surrogate (Schulman et al. 2017, equation 7), negated: max(-A r, -A clamp(r, 1-clip, 1+clip)).

    r = exp(logp - old_logp). ``clipped`` counts tokens where the clamp made the loss larger, which have no gradient.
    With ``dual_clip`` c the loss of a token with A < 0 is at most -c A (Ye et al. 2020, equation 5): without it a
    ratio far above 1 makes one token outweigh all others. ``dual`` counts the tokens that it held.
    """
    change_BT = torch.where(mask_BT, logp_BT - old_logp_BT, torch.zeros_like(logp_BT))
    ratio_BT = change_BT.exp()
    plain_BT = -advantage_BT * ratio_BT
    clamped_BT = -advantage_BT * ratio_BT.clamp(1 - clip, 1 + clip)
    loss_BT = torch.maximum(plain_BT, clamped_BT)
    dual = torch.zeros((), device=loss_BT.device)
    if dual_clip is not None:
        bound_BT = torch.where(advantage_BT < 0, -dual_clip * advantage_BT, torch.inf)
        dual = masked_sum((loss_BT > bound_BT).float(), mask_BT)
        loss_BT = torch.minimum(loss_BT, bound_BT)
    clipped = masked_sum((clamped_BT > plain_BT).float(), mask_BT)
    return PolicySums(masked_sum(loss_BT, mask_BT), clipped, dual, masked_sum(ratio_BT, mask_BT), mask_BT.sum())


def value_loss(value_BT: Tensor, old_value_BT: Tensor, return_BT: Tensor, mask_BT: Tensor, clip: float) -> LossSums:
    """Half the larger of the squared error and that of the value clamped to old ± clip (baselines' ppo2)."""
    change_BT = value_BT - old_value_BT
    clamped_BT = old_value_BT + change_BT.clamp(-clip, clip)
    plain_BT = (value_BT - return_BT).square()
    held_BT = (clamped_BT - return_BT).square()
    loss = 0.5 * masked_sum(torch.maximum(plain_BT, held_BT), mask_BT)
    # inside the clip both errors are equal but for rounding, which is not to be counted
    clipped_BT = (held_BT > plain_BT) & (change_BT.abs() > clip)
    return LossSums(loss, masked_sum(clipped_BT.float(), mask_BT), mask_BT.sum())


def approximate_kl(logp_BT: Tensor, old_logp_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Sum over tokens of KL(old || new) by the k3 estimator: never negative, 0 when nothing moved."""
    change_BT = logp_BT - old_logp_BT
    return masked_sum(torch.expm1(change_BT) - change_BT, mask_BT)
