"""All that learns or adapts while PPO runs, and how it is saved and brought back."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.ppo import PPOConfig
from tasks.checkpoint import (
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    restore_rng,
    rng_tensors,
    save_checkpoint,
)
from tasks.failures import BadConfig
from tasks.ppo.critic import AdapterCritic, AnyCritic, Critic
from tasks.ppo.ema import Average
from tasks.ppo.experience import Experience, Round
from tasks.ppo.guard import Guard
from tasks.ppo.penalties import KlController, RewardScale
from tasks.ppo.policy import AnyPolicy, Policy, WholePolicy, load_parameters
from tasks.ppo.processes import Processes
from tasks.ppo.rates import adamw
from tasks.randomness import generator
from tasks.reward_model import RewardModel
from tasks.trunk import Trunk


@dataclass
class Learner:
    """Policy, critic, their optimisers, beta and the reward scale, and how far they have come.

    ``iteration`` rounds are done, ``cursor`` prompts of the endless stream are used up, ``text_cursor`` texts of the
    pretraining gradient. ``round`` is the iteration under way. ``stopped`` says why the run ended early, and is empty
    when it did not. ``start`` is the held-out measurement of the start model.
    """

    policy: AnyPolicy
    critic: AnyCritic
    policy_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    control: KlController
    average: Average | None = None
    scale: RewardScale | None = None
    iteration: int = 0
    cursor: int = 0
    text_cursor: int = 0
    round: Round | None = None
    stopped: str = ""
    curve: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, Any] | None = None
    guard: Guard | None = None

    @classmethod
    def create(cls, config: PPOConfig, model: PreTrainedModel, device: torch.device | str = "cpu") -> "Learner":
        """A fresh policy and critic on the merged fine-tuned ``model``, which becomes part of the policy."""
        policy = make_policy(config, model, device)
        return cls.of(config, policy, make_critic(config, policy))

    @classmethod
    def of(cls, config: PPOConfig, policy: AnyPolicy, critic: AnyCritic) -> "Learner":
        """Fresh optimisers and counters for a policy and a critic."""
        decay = config.ema.decay
        return cls(
            policy,
            critic,
            adamw(policy.parameters().values(), config.learning_rate, config.adam),
            adamw(critic.trained().values(), config.value_learning_rate, config.adam),
            KlController(config.kl.beta, config.kl.target, config.kl.horizon),
            None if decay is None else Average(policy.parameters(), decay),
        )

    def save(self, folder: Path, keep: int, steps: int = 0, processes: Processes | None = None) -> None:
        """Write a checkpoint; every process must call it, the main one writes.

        It is numbered by iterations and, inside an update of ``steps`` optimiser steps, by the steps that are done.
        """
        tensors = {f"policy.{name}": param.detach() for name, param in self.policy.parameters().items()}
        tensors |= {f"critic.{name}": param.detach() for name, param in self.critic.trained().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": mean for name, mean in self.average.means.items()}
        values: dict[str, Any] = {
            "beta": self.control.beta,
            "scale": None if self.scale is None else asdict(self.scale),
            "iteration": self.iteration,
            "cursor": self.cursor,
            "text_cursor": self.text_cursor,
            "round": None,
            "curve": self.curve,
            "start": self.start,
            "guard": None if self.guard is None else self.guard.values(),
        }
        if self.guard is not None:
            tensors |= {f"guard.{name}": tensor for name, tensor in self.guard.kept.items()}
        number = self.iteration * (steps + 1)
        if self.round is not None:
            assert processes is not None
            batch = processes.total(len(self.round.experience.rows))
            tensors |= {f"round.{name}": t for name, t in self.round.experience.gather(batch, processes).items()}
            values["round"] = {**self.round.values(), "batch": batch}
            number += 1 + self.round.done
        for name, optimizer in self._optimizers():
            moments, groups = optimizer_tensors(optimizer, name)
            tensors |= moments
            values[name] = groups
        if processes is None or processes.main:
            save_checkpoint(folder, number, tensors | rng_tensors(), values, keep)

    def restore(self, folder: Path, processes: Processes | None = None) -> bool:
        """Go back to the newest sound checkpoint; False when there is none."""
        checkpoint = load_checkpoint(folder)
        if checkpoint is None:
            return False
        load_parameters(self.policy.parameters(), checkpoint.part("policy"))
        load_parameters(self.critic.trained(), checkpoint.part("critic"))
        for name, optimizer in self._optimizers():
            restore_optimizer(optimizer, checkpoint.tensors, checkpoint.values[name], name)
        restore_rng(checkpoint.tensors)
        values = checkpoint.values
        if self.average is not None:
            for name, mean in checkpoint.part("average").items():
                self.average.means[name].copy_(mean)
        self.control.beta = values["beta"]
        self.scale = None if values["scale"] is None else RewardScale(**values["scale"])
        self.iteration, self.cursor = values["iteration"], values["cursor"]
        self.text_cursor = values["text_cursor"]
        self.curve, self.start = values["curve"], values["start"]
        if self.guard is not None and values["guard"] is not None:
            self.guard.restore(values["guard"], checkpoint.part("guard"))
            self.stopped = self.guard.stopped
        if values["round"] is not None:
            assert processes is not None
            experience = Experience.of(checkpoint.part("round"), values["round"]["batch"], processes)
            self.round = Round.of(experience, values["round"])
        self.policy.refresh()
        return True

    def take_average(self) -> None:
        """Put the running mean in the policy's place, for good."""
        assert self.average is not None
        load_parameters(self.policy.parameters(), self.average.means)
        self.policy.refresh()

    def _optimizers(self) -> list[tuple[str, torch.optim.Optimizer]]:
        return [("policy_optimizer", self.policy_optimizer), ("critic_optimizer", self.critic_optimizer)]


def make_policy(config: PPOConfig, model: PreTrainedModel, device: torch.device | str = "cpu") -> AnyPolicy:
    """An adapter on ``model``, or all of it, which becomes part of the policy."""
    assert config.seed is not None
    model = model.to(device)  # type: ignore[arg-type]
    if config.method == "full":
        return WholePolicy(model)
    return Policy(model, config.lora, _number(config.seed, "adapter"), config.merge_for_sampling)


def make_critic(
    config: PPOConfig,
    policy: AnyPolicy,
    tokenizer: PreTrainedTokenizerBase | None = None,
    reward: RewardModel | None = None,
) -> AnyCritic:
    """A fresh critic that reads the policy's start model, or has an adapter on it or on the reward model.

    Started from a reward model that is an adapter on the same base, it is a copy of that adapter. Raises BadConfig
    when it shall start from a reward model that reads other tokens than the policy writes.
    """
    assert config.seed is not None
    start, seed = policy.trunk.start, _number(config.seed, "critic")
    if config.critic.kind == "head":
        return Critic(start.config.hidden_size, seed).to(start.device)
    if config.critic.start == "finetuned":
        return AdapterCritic(policy.trunk, config.critic.lora, seed)
    if reward is None or tokenizer is None:
        raise BadConfig("ppo.critic.start=reward without a reward model; set ppo.critic.start=finetuned")
    if reward.tokenizer.get_vocab() != tokenizer.get_vocab():
        raise BadConfig(
            "ppo.critic.start=reward: the reward model has another tokenizer than the policy, whose tokens the critic "
            "has to read; set ppo.critic.start=finetuned"
        )
    if reward.trunk is not None:
        return AdapterCritic(policy.trunk, config.critic.lora, seed, reward.value_head(), copy_of=reward.adapters[0])
    trunk = Trunk(cast(PreTrainedModel, reward.body))
    critic = AdapterCritic(trunk, config.critic.lora, seed, reward.value_head())
    reward.around = lambda: trunk.use(None)
    return critic


def _number(seed: int, name: str) -> int:
    return generator(seed, name).initial_seed()
