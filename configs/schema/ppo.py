"""PPO stage: policy adapter, reference by switching it off, critic, clipped loss, KL penalty."""

from typing import Literal

from pydantic import model_validator

from configs.schema.launch import LaunchConfig
from configs.schema.sources import PromptSource
from configs.schema.strict import Strict, setting
from configs.schema.training import CheckpointConfig, LoraSettings


class KlConfig(Strict):
    """Penalty on the divergence from the fine-tuned model (Ziegler et al. 2019, section 2.2)."""

    beta: float = setting(0.1, "Coefficient of the penalty at the start.", unit="reward/nat", ge=0)
    target: float | None = setting(
        None, "Adapt the coefficient towards this KL; fixed when empty.", unit="nats/answer", gt=0
    )
    horizon: int = setting(10_000, "Samples over which the coefficient adapts.", unit="samples", ge=1)
    limit: float | None = setting(None, "Stop when the KL of an iteration exceeds this.", unit="nats/answer", gt=0)


class PPOConfig(Strict):
    """Proximal policy optimisation (Schulman et al. 2017) of answers against the reward model."""

    prompts: PromptSource = setting(..., "Prompts to answer while training.")
    heldout: PromptSource | None = setting(None, "Prompts to measure on; a tenth of `prompts` when empty.")
    lora: LoraSettings = setting(LoraSettings(), "The policy's adapter.")
    iterations: int = setting(30, "Rollout and update rounds.", unit="iterations", ge=1)
    batch: int = setting(64, "Prompts an iteration over all processes.", unit="prompts", ge=1)
    minibatch: int = setting(32, "Answers an optimiser step over all processes.", unit="answers", ge=1)
    micro_batch: int | None = setting(
        None, "Answers a forward pass of a process; the minibatch when empty.", unit="answers", keyed=False, ge=1
    )
    epochs: int = setting(2, "Passes over each rollout.", unit="epochs", ge=1)
    learning_rate: float = setting(1e-3, "Learning rate of the policy.", unit="1/step", gt=0)
    value_learning_rate: float = setting(3e-3, "Learning rate of the critic.", unit="1/step", gt=0)
    clip: float = setting(0.2, "Policy ratio clip.", gt=0)
    value_clip: float = setting(0.2, "Value clip.", gt=0)
    entropy_coefficient: float = setting(0.0, "Weight of the entropy bonus.", ge=0)
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
    rubric: Literal["world", "none"] = setting("none", "Hidden rubric to report beside the reward; never trained on.")
    heldout_samples: int = setting(2, "Sampled answers a held-out prompt.", unit="answers", ge=1)
    checkpoint: CheckpointConfig = setting(CheckpointConfig(every=5), "Checkpoints, in iterations.")
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)

    @model_validator(mode="after")
    def _no_dropout(self) -> "PPOConfig":
        """With dropout the ratio compares two different networks: it was seen to range from 6e-4 to 750."""
        if self.lora.dropout:
            raise ValueError(
                f"ppo.lora.dropout={self.lora.dropout}: PPO needs the same network in every pass; set it to 0"
            )
        return self
