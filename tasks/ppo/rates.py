"""Learning rates by optimiser step, and the optimisers that follow them."""

from collections.abc import Iterable

import torch
from torch import nn

from configs.schema.ppo_parts import AdamConfig, RateConfig
from tasks.schedule import warmup_cosine


def share_of_peak(config: RateConfig, step: int, steps: int) -> float:
    """Share of the peak learning rate at ``step`` of 0 … steps-1.

    (step+1)/(warmup+1) while step < warmup, then from 1 to ``min_rate`` at ``steps``: along a line or half a cosine,
    or staying at 1.
    """
    if config.schedule == "cosine" or step < config.warmup_steps:
        return warmup_cosine(step, steps, config.warmup_steps, config.min_rate)
    if config.schedule == "constant":
        return 1.0
    done = min(1.0, (step - config.warmup_steps) / max(1, steps - config.warmup_steps))
    return 1.0 - (1.0 - config.min_rate) * done


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Every group at that share of the rate it was made with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * share


def adamw(params: Iterable[nn.Parameter], learning_rate: float, config: AdamConfig) -> torch.optim.AdamW:
    """AdamW over all the parameters alike."""
    return torch.optim.AdamW(
        list(params),
        lr=learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        weight_decay=config.weight_decay,
    )
