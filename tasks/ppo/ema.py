"""Exponential moving average of the policy's trained weights."""

import torch
from torch import Tensor, nn


class Average:
    """mean ← decay · mean + (1 - decay) · weight after every optimiser step; it starts at the first weights.

    Of an adapter the factors A and B are averaged and not their product, as everybody does who averages LoRA weights.
    """

    def __init__(self, params: dict[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.means: dict[str, Tensor] = {name: param.detach().clone() for name, param in params.items()}

    @torch.no_grad()
    def update(self, params: dict[str, nn.Parameter]) -> None:
        """After one optimiser step."""
        for name, param in params.items():
            self.means[name].mul_(self.decay).add_(param, alpha=1 - self.decay)
