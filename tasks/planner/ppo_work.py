"""How much work an iteration of PPO is: rows, widths and number of its passes, on one process.

Letters as in tasks/ppo/rollout.py: P tokens of the longest prompt, T of the longest answer, L = P + T.
"""

from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

from configs.schema.ppo import PPOConfig
from configs.schema.training import LoraSettings
from tasks.planner.shape import ModelShape

SCORED = 64  # answers of a pass of the reward model


@dataclass(frozen=True)
class Lengths:
    """Tokens of the longest prompt in a batch and of the longest answer; prompts that are measured on."""

    prompt: int
    answer: int
    heldout: int = 0

    @property
    def row(self) -> int:
        return self.prompt + self.answer


@dataclass(frozen=True)
class RewardShape:
    """The reward model: adapters of ``rank`` on the policy's base, or whole models of a shape of their own.

    rank 0 without ``whole``: Python functions alone. ``members`` of an ensemble that are models or adapters. last: the
    score is read at the last token.
    """

    whole: ModelShape | None = None
    rank: int = 0
    targets: str | list[str] = "all-linear"
    members: int = 1
    last: bool = True

    @property
    def none(self) -> bool:
        return self.whole is None and self.rank == 0


@dataclass(frozen=True)
class Work:
    """Settings, shapes and lengths of a PPO stage, and the counts that follow from them."""

    config: PPOConfig
    shape: ModelShape
    reward: RewardShape
    lengths: Lengths
    processes: int = 1

    @property
    def rows(self) -> int:
        """Answers of an iteration."""
        return ceil(self.config.batch / self.processes)

    @property
    def sampled(self) -> int:
        """Answers that are sampled together."""
        return min(self.rows, self.config.rollout.batch)

    @property
    def read_rows(self) -> int:
        """Answers of a pass without gradients."""
        return min(self.rows, self.config.micro_batch or self.config.minibatch)

    @property
    def learn_rows(self) -> int:
        """Answers of a pass with gradients."""
        mine = ceil(self.config.minibatch / self.processes)
        return min(self.rows, mine, self.config.micro_batch or mine)

    @property
    def scored_rows(self) -> int:
        return min(self.rows, SCORED)

    @property
    def learn_passes(self) -> int:
        """Of an iteration; each is one of the policy and one of the critic."""
        mine = ceil(self.config.minibatch / self.processes)
        return self.config.update_steps * ceil(min(mine, self.rows) / self.learn_rows)

    @property
    def learned(self) -> LoraSettings | None:
        """The policy's adapter; None when all weights are trained."""
        return self.config.lora if self.config.method == "lora" else None

    @property
    def policy_parameters(self) -> int:
        """Numbers that the policy trains."""
        if self.learned is None:
            return self.shape.parameters
        return self.shape.adapter_parameters(self.learned.rank, self.learned.targets)

    @property
    def critic_lora(self) -> LoraSettings | None:
        """The critic's adapter; None for a head on features. Started from the reward model it has its rank."""
        critic = self.config.critic
        if critic.kind == "head":
            return None
        if critic.start == "reward" and self.reward.rank:
            return LoraSettings(rank=self.reward.rank, targets=self.reward.targets)
        return critic.lora

    @property
    def critic_shape(self) -> ModelShape:
        """What an adapter critic is on: the policy's base, or a whole reward model."""
        apart = self.config.critic.start == "reward" and self.reward.whole is not None
        return self.reward.whole if apart and self.reward.whole is not None else self.shape

    @property
    def critic_parameters(self) -> int:
        """Numbers that the critic trains; see tasks/ppo/critic.py."""
        lora, width = self.critic_lora, self.critic_shape.hidden
        if lora is None:
            width = self.shape.hidden
            return 2 * 2 * width + (2 * width + 1) * width + width + 1
        return self.critic_shape.adapter_parameters(lora.rank, lora.targets) + width + 1

    @property
    def reward_parameters(self) -> int:
        """Numbers of the reward model that lie in memory beside the base: adapters with a head, or whole trunks."""
        reward = self.reward
        if reward.none:
            return 0
        if reward.whole is not None:
            return reward.members * (reward.whole.trunk_parameters + reward.whole.hidden)
        return reward.members * (self.shape.adapter_parameters(reward.rank, reward.targets) + self.shape.hidden)

    @property
    def merged_parameters(self) -> int:
        """Numbers of the matrices that sampling has a second copy of."""
        if self.learned is None or not self.config.merge_for_sampling:
            return 0
        return sum(one.weights + one.bias * one.after for one in self.shape.adapted(self.learned.targets))

    def with_layers(self, layers: int) -> "Work":
        """The same work on a model, and a whole reward model, of another depth."""
        whole = self.reward.whole
        reward = replace(self.reward, whole=whole and replace(whole, layers=layers))
        return replace(self, shape=replace(self.shape, layers=layers), reward=reward)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "config": self.config.model_dump(mode="json"),
            "shape": asdict(self.shape),
            "reward": asdict(self.reward),
            "lengths": asdict(self.lengths),
            "processes": self.processes,
        }

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Work":
        """From ``plain``."""
        reward = dict(values["reward"])
        reward["whole"] = reward["whole"] and ModelShape(**reward["whole"])
        return cls(
            PPOConfig.model_validate(values["config"]),
            ModelShape(**values["shape"]),
            RewardShape(**reward),
            Lengths(**values["lengths"]),
            values["processes"],
        )
