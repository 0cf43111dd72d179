"""The critic: a small network on the frozen start model's features, or an adapter of its own on the same weights.

The small one reads the last hidden state of the *reference* pass, which PPO makes anyway for the KL penalty. The
features of a rollout are therefore computed once, do not drift under the critic while the policy learns, and no
gradient of the value loss reaches the policy. The adapter sees the text anew with its own weights, for another forward
and backward pass of the whole model. Both have their own optimiser and learning rate.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from configs.schema.training import LoraSettings
from tasks.ppo.rollout import Answers, hidden_states
from tasks.trunk import Trunk

CRITIC = "critic"  # name of the critic's adapter


class AnyCritic(Protocol):
    """What the rest of PPO asks of a critic."""

    needs_features: bool

    def values(self, answers: Answers, feature_BTH: Tensor | None) -> Tensor:
        """value_BT: of the state in which each token is chosen, in units of the normalised reward."""

    def trained(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""


class Critic(nn.Module):
    """value_BT from feature_BTH: each state beside the mean of the states so far, one hidden layer, a scalar.

    A language model's last state is about the next token, and forgets how the answer began, which the reward may
    hang on. With the running mean this critic explained .13 of the variance of final scores on the small world,
    without it .02; how an answer opens decides .21 of them there.

    The last layer starts at zero, so the first values are 0, the mean of normalised rewards.
    """

    needs_features = True

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.norm = nn.LayerNorm(2 * width)
            self.inner = nn.Linear(2 * width, width)
            self.value = nn.Linear(width, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, feature_BTH: Tensor) -> Tensor:
        """Values of the states in which each token is chosen, in units of the normalised reward."""
        count_T = torch.arange(1, feature_BTH.shape[1] + 1, device=feature_BTH.device)
        mean_BTH = feature_BTH.cumsum(1) / count_T[:, None]  # of past and present: padding comes later
        hidden_BTH = nn.functional.gelu(self.inner(self.norm(torch.cat([feature_BTH, mean_BTH], dim=-1))))
        return self.value(hidden_BTH).squeeze(-1)

    def values(self, answers: Answers, feature_BTH: Tensor | None) -> Tensor:
        """From the features alone."""
        assert feature_BTH is not None
        return self(feature_BTH)

    def trained(self) -> dict[str, nn.Parameter]:
        """All of it."""
        return dict(self.named_parameters())


class AdapterCritic:
    """A LoRA adapter and a linear value head on a frozen model that others use as well."""

    needs_features = False

    def __init__(
        self, trunk: Trunk, lora: LoraSettings, seed: int, head: nn.Linear | None = None, copy_of: str | None = None
    ) -> None:
        """``head``: where the value head starts, the reward model's; at zero without one. ``copy_of``: an adapter on
        the trunk that this one starts as a copy of; its rank and layers replace ``lora``."""
        self.trunk = trunk
        self._adapter = trunk.add(CRITIC, lora, seed) if copy_of is None else trunk.copy(copy_of, CRITIC)
        self.head = nn.Linear(trunk.start.config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if head is not None:
            self.head.load_state_dict(head.state_dict())
        self.head.to(trunk.start.device)

    def values(self, answers: Answers, feature_BTH: Tensor | None) -> Tensor:
        """One pass of the model with the critic's adapter on."""
        with self.trunk.use(CRITIC) as model:
            state_BTH = hidden_states(model, answers)
        return self.head(state_BTH.float()).squeeze(-1)

    def trained(self) -> dict[str, nn.Parameter]:
        """Adapter and head."""
        return {**self._adapter, **{f"head.{name}": param for name, param in self.head.named_parameters()}}
