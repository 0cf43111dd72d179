"""PPO stage: policy adapter, reference by switching it off, critic, clipped loss, KL penalty."""

from typing import Any, Literal

from pydantic import model_validator

from configs.schema.guard import GuardConfig
from configs.schema.launch import LaunchConfig
from configs.schema.ppo_parts import (
    AdamConfig,
    CriticConfig,
    EmaConfig,
    KlConfig,
    PtxConfig,
    RateConfig,
    RewardPart,
)
from configs.schema.ppo_presets import PRESETS, fill
from configs.schema.ppo_trl import from_trl
from configs.schema.rollout import CurriculumConfig, RolloutConfig, TableConfig
from configs.schema.sources import PromptSource
from configs.schema.strict import Strict, setting
from configs.schema.training import CheckpointConfig, LoraSettings


class PPOConfig(Strict):
    """Proximal policy optimisation (Schulman et al. 2017) of answers against the reward model."""

    prompts: PromptSource = setting(..., "Prompts to answer while training.")
    heldout: PromptSource | None = setting(None, "Prompts to measure on; a tenth of `prompts` when empty.")
    preset: Literal["none", "instructgpt", "n-details", "deepspeed-chat"] = setting(
        "none", "Published settings for everything that is not set here; see docs/ppo.md.", keyed=False
    )
    method: Literal["lora", "full"] = setting(
        "lora", "Train an adapter, or all weights: then the reference is a second, frozen copy."
    )
    lora: LoraSettings = setting(LoraSettings(), "The policy's adapter, with method lora.")
    merge_for_sampling: bool = setting(
        True, "Sample from a copy with the adapter merged in: faster, and takes the memory of the adapted matrices."
    )
    rewards: list[RewardPart] = setting(
        [RewardPart(model="reward")], "What an answer is paid for: the sum of these.", min_length=1
    )
    critic: CriticConfig = setting(CriticConfig(), "The critic.")
    iterations: int = setting(30, "Rollout and update rounds.", unit="iterations", ge=1)
    batch: int = setting(64, "Prompts an iteration over all processes.", unit="prompts", ge=1)
    minibatch: int = setting(32, "Answers an optimiser step over all processes.", unit="answers", ge=1)
    micro_batch: int | None = setting(
        None, "Answers a forward pass of a process; the minibatch when empty.", unit="answers", keyed=False, ge=1
    )
    epochs: int = setting(2, "Passes over each rollout.", unit="epochs", ge=1)
    learning_rate: float = setting(1e-3, "Learning rate of the policy.", unit="1/step", gt=0)
    value_learning_rate: float = setting(3e-3, "Learning rate of the critic.", unit="1/step", gt=0)
    rate: RateConfig = setting(RateConfig(), "How the policy's learning rate goes.")
    value_rate: RateConfig = setting(RateConfig(), "How the critic's learning rate goes.")
    adam: AdamConfig = setting(AdamConfig(), "Both optimisers.")
    clip: float = setting(0.2, "Policy ratio clip.", gt=0)
    dual_clip: float | None = setting(
        None, "Bound of the ratio where the advantage is negative (Ye et al. 2020, use 3).", gt=1
    )
    value_clip: float = setting(0.2, "Value clip.", gt=0)
    value_coefficient: float = setting(1.0, "Factor of the value loss, before its gradient is clipped.", gt=0)
    entropy_coefficient: float = setting(0.0, "Weight of the entropy bonus.", ge=0)
    target_kl: float | None = setting(
        None, "End an update at the first minibatch whose KL from the rollout exceeds this.", unit="nats/token", gt=0
    )
    gamma: float = setting(1.0, "Discount.", gt=0, le=1)
    lam: float = setting(0.95, "GAE lambda.", ge=0, le=1)
    temperature: float = setting(1.0, "Temperature of rollouts and of every log-probability.", gt=0)
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", ge=1)
    max_prompt_tokens: int = setting(256, "Longer prompts are left out and counted.", unit="tokens", ge=1)
    missing_eos_penalty: float = setting(
        2.0, "Subtracted from the reward of an answer that does not end.", unit="reward", ge=0
    )
    normalise_reward: bool = setting(True, "Shift and scale rewards by the start model's mean and deviation.")
    reward_clip: float | None = setting(
        None, "Clip of the (normalised) reward; counted, never silent.", unit="reward", gt=0
    )
    whiten_advantages: bool = setting(True, "Whiten advantages over all processes.")
    kl: KlConfig = setting(KlConfig(), "KL penalty.")
    kl_estimator: Literal["k1", "k2", "k3"] = setting("k1", "Estimator in the reward (Schulman 2020).")
    clip_gradient: float = setting(1.0, "Largest gradient norm.", gt=0)
    ema: EmaConfig = setting(EmaConfig(), "Running mean of the policy's trained weights.")
    ptx: PtxConfig = setting(PtxConfig(), "Pretraining gradient (PPO-ptx).")
    rubric: Literal["world", "none"] = setting("none", "Hidden rubric to report beside the reward; never trained on.")
    heldout_samples: int = setting(2, "Sampled answers a held-out prompt.", unit="answers", ge=1)
    rollout: RolloutConfig = setting(RolloutConfig(), "The engine that samples answers.")
    curriculum: CurriculumConfig = setting(CurriculumConfig(), "Order and repeats of prompts.")
    table: TableConfig = setting(TableConfig(), "Sampled answers that the artifact keeps.")
    guard: GuardConfig = setting(GuardConfig(), "What is watched for over-optimisation.")
    checkpoint: CheckpointConfig = setting(CheckpointConfig(every=5), "Checkpoints, in iterations.")
    checkpoint_steps: int | None = setting(
        None, "Also inside an update, after so many of its optimiser steps.", unit="steps", keyed=False, ge=1
    )
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)

    @classmethod
    def of(cls, **values: Any) -> "PPOConfig":
        """Settings for use as a library, where prompts are given as rows and not as a file."""
        return cls.model_validate({"prompts": {"path": "train_dataset"}, "seed": 0, **values})

    @classmethod
    def from_trl(cls, **names: Any) -> "PPOConfig":
        """Settings by their names in TRL; see configs/schema/ppo_trl.py."""
        return cls.of(**from_trl(names))

    @property
    def update_steps(self) -> int:
        """Optimiser steps of one iteration."""
        return self.epochs * -(-self.batch // self.minibatch)

    @model_validator(mode="before")
    @classmethod
    def _take_preset(cls, values: Any) -> Any:
        """What is written in the recipe wins over the preset."""
        if isinstance(values, dict) and values.get("preset") in PRESETS:
            return fill(values, PRESETS[values["preset"]])
        return values

    @model_validator(mode="after")
    def _possible(self) -> "PPOConfig":
        """With dropout the ratio compares two different networks: it was seen to range from 6e-4 to 750."""
        for name, lora in (("lora", self.lora), ("critic.lora", self.critic.lora)):
            if lora.dropout:
                raise ValueError(
                    f"ppo.{name}.dropout={lora.dropout}: PPO needs the same network in every pass; set it to 0"
                )
        if self.critic.warmup >= self.iterations:
            raise ValueError(
                f"ppo.critic.warmup={self.critic.warmup} leaves no iteration for the policy: lower it, or raise "
                f"ppo.iterations={self.iterations}"
            )
        if self.batch % self.curriculum.answers:
            raise ValueError(
                f"ppo.batch={self.batch} is no multiple of ppo.curriculum.answers={self.curriculum.answers}: change one"
            )
        if self.guard.select == "best" and self.ema.release == "ema":
            raise ValueError("ppo.guard.select=best with ppo.ema.release=ema: both name what is released; change one")
        if sum(part.model is not None for part in self.rewards) > 1:
            raise ValueError("ppo.rewards names the reward model twice: give it once, with the sum of the weights")
        return self
