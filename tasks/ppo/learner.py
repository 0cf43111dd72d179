"""All that learns or adapts while PPO runs, and how it is saved and brought back."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from configs.schema.ppo import PPOConfig
from tasks.checkpoint import (
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    restore_rng,
    rng_tensors,
    save_checkpoint,
)
from tasks.ppo.critic import Critic
from tasks.ppo.penalties import KlController, RewardScale
from tasks.ppo.policy import Policy, load_parameters
from tasks.ppo.randomness import generator

ADAM_EPS = 1e-5  # Huang et al. 2022, "The 37 implementation details of PPO", detail 3


@dataclass
class Learner:
    """Policy, critic, their optimisers, beta and the reward scale, and how far they have come.

    ``iteration`` rounds are done, ``cursor`` prompts of the endless stream are used up. ``stopped`` says why the
    run ended early, and is empty when it did not. ``start`` is the held-out measurement of the start model.
    """

    policy: Policy
    critic: Critic
    policy_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    control: KlController
    scale: RewardScale | None = None
    iteration: int = 0
    cursor: int = 0
    stopped: str = ""
    curve: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, Any] | None = None

    @classmethod
    def create(cls, config: PPOConfig, model: PreTrainedModel, device: torch.device | str = "cpu") -> "Learner":
        """A fresh adapter and critic on the merged fine-tuned ``model``, which becomes part of the policy."""
        assert config.seed is not None
        policy = Policy(model.to(device), config.lora, _number(config.seed, "adapter"))  # type: ignore[arg-type]
        critic = Critic(model.config.hidden_size, _number(config.seed, "critic")).to(device)
        return cls(
            policy,
            critic,
            _adam(list(policy.parameters().values()), config.learning_rate),
            _adam(list(critic.parameters()), config.value_learning_rate),
            KlController(config.kl.beta, config.kl.target, config.kl.horizon),
        )

    def save(self, folder: Path, keep: int) -> None:
        """Write a checkpoint after ``iteration`` rounds."""
        tensors = {f"policy.{name}": param.detach() for name, param in self.policy.parameters().items()}
        tensors |= {f"critic.{name}": param.detach() for name, param in self.critic.named_parameters()}
        values: dict[str, Any] = {
            "beta": self.control.beta,
            "scale": None if self.scale is None else asdict(self.scale),
            "cursor": self.cursor,
            "curve": self.curve,
            "start": self.start,
        }
        for name, optimizer in self._optimizers():
            moments, groups = optimizer_tensors(optimizer, name)
            tensors |= moments
            values[name] = groups
        save_checkpoint(folder, self.iteration, tensors | rng_tensors(), values, keep)

    def restore(self, folder: Path) -> bool:
        """Go back to the newest sound checkpoint; False when there is none."""
        checkpoint = load_checkpoint(folder)
        if checkpoint is None:
            return False
        load_parameters(self.policy.parameters(), checkpoint.part("policy"))
        load_parameters(dict(self.critic.named_parameters()), checkpoint.part("critic"))
        for name, optimizer in self._optimizers():
            restore_optimizer(optimizer, checkpoint.tensors, checkpoint.values[name], name)
        restore_rng(checkpoint.tensors)
        values = checkpoint.values
        self.control.beta = values["beta"]
        self.scale = None if values["scale"] is None else RewardScale(**values["scale"])
        self.iteration, self.cursor = checkpoint.step, values["cursor"]
        self.curve, self.start = values["curve"], values["start"]
        self.policy.refresh()
        return True

    def _optimizers(self) -> list[tuple[str, torch.optim.Optimizer]]:
        return [("policy_optimizer", self.policy_optimizer), ("critic_optimizer", self.critic_optimizer)]


def _adam(params: list[torch.nn.Parameter], learning_rate: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(params, lr=learning_rate, eps=ADAM_EPS, weight_decay=0.0)


def _number(seed: int, name: str) -> int:
    return generator(seed, name).initial_seed()
