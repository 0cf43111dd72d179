"""The critic: a small network on the frozen fine-tuned trunk.

It reads the last hidden state of the *reference* pass, which PPO makes anyway for the KL penalty. The features
of a rollout are therefore computed once, do not drift under the critic while the policy learns, and no gradient
of the value loss reaches the policy. It has its own optimiser and learning rate.
"""

import torch
from torch import Tensor, nn


class Critic(nn.Module):
    """value_BT from feature_BTH: LayerNorm, one hidden layer of the trunk's width, and a scalar.

    The last layer starts at zero, so the first values are 0, the mean of normalised rewards.
    """

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.norm = nn.LayerNorm(width)
            self.inner = nn.Linear(width, width)
            self.value = nn.Linear(width, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, feature_BTH: Tensor) -> Tensor:
        """Values of the states in which each token is chosen, in units of the normalised reward."""
        hidden_BTH = nn.functional.gelu(self.inner(self.norm(feature_BTH)))
        return self.value(hidden_BTH).squeeze(-1)
