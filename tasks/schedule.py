"""Learning rate and optimiser that every training stage shares."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from configs.schema.training import OptimizerConfig


def warmup_cosine(step: int, steps: int, warmup: int, min_rate: float) -> float:
    """Share of the peak learning rate at ``step`` of 0 … steps-1, in (0, 1].

    (step+1)/(warmup+1) while step < warmup, then from 1 along half a cosine towards ``min_rate`` at ``steps``
    (Loshchilov and Hutter 2017, eq. 5, one cycle).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    return min_rate + (1.0 - min_rate) * 0.5 * (1.0 + math.cos(math.pi * done))


def adamw(model_or_params: nn.Module | Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained; weight decay on matrices only, not on norms and biases."""
    params = model_or_params.parameters() if isinstance(model_or_params, nn.Module) else model_or_params
    trained = [param for param in params if param.requires_grad]
    groups = [
        {"params": [param for param in trained if param.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [param for param in trained if param.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )
