"""Parts of the PPO settings: penalty, critic, rewards, schedules, running mean, pretraining gradient."""

from typing import Literal

from pydantic import model_validator

from configs.schema.sources import InstructionSource
from configs.schema.strict import Strict, setting
from configs.schema.training import LoraSettings


class KlConfig(Strict):
    """Penalty on the divergence from the fine-tuned model (Ziegler et al. 2019, section 2.2)."""

    beta: float = setting(0.1, "Coefficient of the penalty at the start.", unit="reward/nat", ge=0)
    target: float | None = setting(
        None, "Adapt the coefficient towards this KL; fixed when empty.", unit="nats/answer", gt=0
    )
    horizon: int = setting(10_000, "Samples over which the coefficient adapts.", unit="samples", ge=1)
    limit: float | None = setting(None, "Stop when the KL of an iteration exceeds this.", unit="nats/answer", gt=0)


class RewardPart(Strict):
    """One term of the reward: a model's score or what a Python function returns."""

    model: Literal["reward"] | None = setting(None, "The reward stage's model.")
    function: str | None = setting(
        None,
        "A Python function, package.module:function, called as fn(prompts=…, completions=…, **columns) → one number "
        "an answer, None where it has nothing to say.",
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
    )
    weight: float = setting(1.0, "Factor of this term.")

    @model_validator(mode="after")
    def _one(self) -> "RewardPart":
        if (self.model is None) == (self.function is None):
            raise ValueError(
                f"ppo.rewards: model={self.model!r} and function={self.function!r}: a term has exactly one of them"
            )
        return self


class CriticConfig(Strict):
    """What estimates the reward that is still to come."""

    kind: Literal["head", "adapter"] = setting(
        "head", "A small network on the start model's features, or a second adapter with a value head on its weights."
    )
    start: Literal["finetuned", "reward"] = setting(
        "finetuned", "Weights that the adapter critic starts from: the fine-tuned model or the reward model."
    )
    lora: LoraSettings = setting(LoraSettings(), "The critic's adapter, with kind adapter.")
    warmup: int = setting(0, "First iterations, in which the critic alone learns.", unit="iterations", ge=0)

    @model_validator(mode="after")
    def _agree(self) -> "CriticConfig":
        if self.kind == "head" and self.start == "reward":
            raise ValueError(
                "ppo.critic.start=reward with ppo.critic.kind=head: a head reads the fine-tuned model's features; set "
                "ppo.critic.kind=adapter"
            )
        return self


class RateConfig(Strict):
    """A learning rate as a share of its peak, by optimiser step over the whole run."""

    schedule: Literal["constant", "linear", "cosine"] = setting("constant", "Way from the peak to the end.")
    warmup_steps: int = setting(0, "Steps of linear warm-up.", unit="steps", ge=0)
    min_rate: float = setting(0.0, "Learning rate at the end, as a share of the peak.", unit="share", ge=0, le=1)


class AdamConfig(Strict):
    """AdamW of policy and critic."""

    beta1: float = setting(0.9, "First moment decay.", ge=0, lt=1)
    beta2: float = setting(0.999, "Second moment decay.", ge=0, lt=1)
    eps: float = setting(1e-5, "Added to the denominator (Huang et al. 2022, detail 3).", gt=0)
    weight_decay: float = setting(0.0, "Decoupled weight decay.", ge=0)


class EmaConfig(Strict):
    """Exponential moving average of the trained weights of the policy."""

    decay: float | None = setting(None, "Share of the old mean kept at a step (.992 in InstructGPT).", gt=0, lt=1)
    release: Literal["policy", "ema"] = setting("policy", "Which of the two is measured and released.")

    @model_validator(mode="after")
    def _agree(self) -> "EmaConfig":
        if self.release == "ema" and self.decay is None:
            raise ValueError("ppo.ema.release=ema without ppo.ema.decay: set the decay, for example 0.992")
        return self


class PtxConfig(Strict):
    """Language modelling beside PPO, so that the policy keeps what it knew (Ouyang et al. 2022, equation 2)."""

    coefficient: float = setting(0.0, "Weight of the pretraining loss (27.8 in InstructGPT); 0 is off.", ge=0)
    source: Literal["corpus", "instructions"] = setting(
        "corpus", "Text: the corpus that the base was trained on, or conversations, of which answers are learned."
    )
    instructions: list[InstructionSource] = setting([], "Conversations, with source instructions.")
    batch: int = setting(8, "Texts an optimiser step over all processes.", unit="texts", ge=1)
    max_length: int = setting(
        256, "Texts are cut after so many tokens, or where the model's positions end.", unit="tokens", ge=2
    )

    @model_validator(mode="after")
    def _agree(self) -> "PtxConfig":
        if self.coefficient and (self.source == "instructions") != bool(self.instructions):
            raise ValueError(
                f"ppo.ptx.source={self.source} with {len(self.instructions)} ppo.ptx.instructions: name the files of "
                "conversations there, and set the source to instructions"
            )
        return self
