"""Advantages and returns from rewards and values.

Shapes: B answers, T tokens of the longest answer. Masks come from lengths, never from token ids.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Reduce = Callable[[Tensor], Tensor]
"""Sum of a tensor over all processes; every process calls it the same number of times."""


def alone(tensor: Tensor) -> Tensor:
    """The sum over one process."""
    return tensor


def length_mask(length_B: Tensor, width: int) -> Tensor:
    """mask_BT: True on the first ``length`` positions of each row; an empty answer gives a row of False."""
    return torch.arange(width, device=length_B.device)[None, :] < length_B[:, None]


def gae(reward_BT: Tensor, value_BT: Tensor, mask_BT: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16).

    ``value_BT[:, t]`` is V(s_t), read before token t is chosen. The value after the last real token is 0:
    an answer is an episode. Whatever stands on padding, NaN included, changes nothing.

    Returns advantage_BT and return_BT = advantage + value, both 0 on padding.
    """
    zero = torch.zeros((), dtype=value_BT.dtype, device=value_BT.device)
    reward_BT = torch.where(mask_BT, reward_BT, zero)
    value_BT = torch.where(mask_BT, value_BT, zero)
    advantage_BT = torch.zeros_like(value_BT)
    after_B = torch.zeros_like(value_BT[:, 0]) if value_BT.shape[1] else value_BT.new_zeros(len(value_BT))
    next_value_B = torch.zeros_like(after_B)
    for t in reversed(range(value_BT.shape[1])):
        delta_B = reward_BT[:, t] + gamma * next_value_B - value_BT[:, t]
        after_B = delta_B + gamma * lam * after_B
        advantage_BT[:, t] = after_B
        next_value_B = value_BT[:, t]
    return advantage_BT, advantage_BT + value_BT


def moments(value_BT: Tensor, mask_BT: Tensor, reduce: Reduce = alone) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the unmasked elements of all processes; (0, 0) when there are none.

    In two passes and float64, so that the number of processes does not show in the result.
    """
    values = value_BT.masked_select(mask_BT).double()
    count, total = reduce(torch.stack([values.new_tensor(float(values.numel())), values.sum()]))
    mean = total / count.clamp(min=1)
    variance = reduce((values - mean).square().sum()) / count.clamp(min=1)
    return mean, variance.sqrt()


def whiten(advantage_BT: Tensor, mask_BT: Tensor, reduce: Reduce = alone) -> Tensor:
    """Advantages with mean 0 and deviation 1 over the unmasked tokens of all processes, 0 on padding."""
    mean, deviation = moments(advantage_BT, mask_BT, reduce)
    white_BT = ((advantage_BT.double() - mean) / (deviation + 1e-8)).to(advantage_BT.dtype)
    return torch.where(mask_BT, white_BT, torch.zeros_like(white_BT))


def explained_variance(value_BT: Tensor, return_BT: Tensor, mask_BT: Tensor, reduce: Reduce = alone) -> float:
    """1 - Var(return - value) / Var(return) over unmasked tokens; 0 when the returns do not vary."""
    _, left = moments(return_BT - value_BT, mask_BT, reduce)
    _, spread = moments(return_BT, mask_BT, reduce)
    return float(1 - (left / spread) ** 2) if spread > 0 else 0.0
