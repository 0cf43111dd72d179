"""Settings of the alignment methods that TRL trains: DPO, KTO, GRPO, RLOO."""

from typing import Any, Literal

from pydantic import model_validator

from configs.schema.launch import LaunchConfig
from configs.schema.ppo_parts import RewardPart
from configs.schema.ppo_presets import PRESETS, fill
from configs.schema.sources import PromptSource
from configs.schema.strict import Strict, setting
from configs.schema.training import CheckpointConfig, LoraSettings, OptimizerConfig

Method = Literal["ppo", "dpo", "kto", "grpo", "rloo"]
TrlMethod = Literal["dpo", "kto", "grpo", "rloo"]
ONLINE = ("grpo", "rloo")  # they sample answers while they train; the others learn from rankings
LOSSES: dict[str, tuple[str, ...]] = {
    "dpo": ("sigmoid", "hinge", "ipo", "robust", "apo_zero", "apo_down"),
    "kto": ("kto", "apo_zero_unpaired"),
    "grpo": ("dapo", "grpo", "dr_grpo", "bnpo"),
    "rloo": ("reinforce",),
}
BETA = {"dpo": 0.1, "kto": 0.1, "grpo": 0.04, "rloo": 0.05}
# What the recipe says once, for PPO and for the methods that are compared with it
SHARED = (
    "prompts",
    "heldout",
    "heldout_samples",
    "rubric",
    "rewards",
    "temperature",
    "max_prompt_tokens",
    "max_new_tokens",
    "missing_eos_penalty",
    "normalise_reward",
)


class AlignmentConfig(Strict):
    """How the fine-tuned model is aligned; the method decides whether the stage ppo or the stage trl runs."""

    method: Method = setting(
        "ppo",
        "PPO with a reward model; DPO or KTO on the rankings, without sampling; GRPO or RLOO with a reward model and "
        "without a critic.",
    )


class TrlConfig(Strict):
    """A LoRA adapter on the fine-tuned start, by a trainer of TRL. Prompts, lengths, temperature and rewards that are
    not set here are those of ``ppo``, so that the methods can be compared.
    """

    method: TrlMethod = setting("dpo", "Set by align.method.")
    prompts: PromptSource = setting(..., "Prompts to answer while training, with grpo and rloo.")
    heldout: PromptSource | None = setting(None, "Prompts to measure on; a tenth of `prompts` when empty.")
    heldout_samples: int = setting(2, "Sampled answers a held-out prompt.", unit="answers", ge=1)
    rubric: Literal["world", "none"] = setting("none", "Hidden rubric to report beside the reward; never trained on.")
    rewards: list[RewardPart] = setting(
        [RewardPart(model="reward")],
        "What an answer is paid for with grpo and rloo, and what every method is measured by: the sum of these.",
        min_length=1,
    )
    lora: LoraSettings = setting(LoraSettings(), "The adapter.")
    optimizer: OptimizerConfig = setting(
        OptimizerConfig(learning_rate=1e-4, warmup_steps=10, beta2=0.999), "Optimiser and schedule."
    )
    steps: int = setting(100, "Optimiser steps.", unit="steps", ge=1)
    batch: int = setting(
        32, "Pairs (dpo), marked answers (kto) or sampled answers (grpo, rloo) a step over all processes.", ge=1
    )
    micro_batch: int | None = setting(
        None, "Of these, a forward pass over all processes; the whole batch when empty.", keyed=False, ge=1
    )
    beta: float | None = setting(
        None,
        "Weight of staying near the start: of the implicit reward's scale (dpo, kto; .1 when empty), of the KL in the "
        "loss (grpo; .04), of the KL in the reward (rloo; .05).",
        ge=0,
    )
    loss_type: str | None = setting(
        None, "Form of TRL's loss; the method's own when empty: sigmoid (dpo), kto (kto), dapo (grpo)."
    )
    pairs: Literal["all", "best-worst"] = setting(
        "all", "Pairs of a ranking of K answers, with dpo and kto: all that are not tied, or the two ends alone."
    )
    label_smoothing: float = setting(
        0.0, "Share of pairs taken to be ranked wrongly, with dpo.", unit="share", ge=0, lt=0.5
    )
    desirable_weight: float = setting(1.0, "Factor of the loss of preferred answers, with kto.", gt=0)
    undesirable_weight: float = setting(1.0, "Factor of the loss of other answers, with kto.", gt=0)
    max_length: int = setting(
        256, "Longer conversations of the rankings are left out and counted.", unit="tokens", ge=8
    )
    num_generations: int = setting(
        8, "Answers a prompt that are compared with each other, with grpo and rloo.", unit="answers", ge=2
    )
    reuse: int = setting(1, "Optimiser steps on the same answers, with grpo and rloo.", unit="steps", ge=1)
    clip: float = setting(
        0.2, "Clip of the ratio of a token (grpo) or of an answer (rloo) when answers are reused.", gt=0
    )
    scale_rewards: Literal["group", "batch", "none"] = setting(
        "group", "What advantages are divided by: the deviation among a prompt's answers or in the batch; with grpo."
    )
    normalise_advantages: bool = setting(False, "Whiten advantages over the batch, with rloo.")
    temperature: float = setting(1.0, "Temperature of sampled answers and of their log-probabilities.", gt=0)
    max_new_tokens: int = setting(64, "Longest answer.", unit="tokens", ge=1)
    max_prompt_tokens: int = setting(256, "Longer prompts are left out and counted.", unit="tokens", ge=1)
    missing_eos_penalty: float = setting(
        2.0, "Subtracted from the reward of an answer that does not end.", unit="reward", ge=0
    )
    normalise_reward: bool = setting(True, "Scale rewards by the start model's deviation on the held-out prompts.")
    checkpoint: CheckpointConfig = setting(CheckpointConfig(every=20), "Checkpoints, in steps.")
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)

    @property
    def online(self) -> bool:
        """Whether answers are sampled while training."""
        return self.method in ONLINE

    @property
    def weight(self) -> float:
        """beta, the method's own when empty."""
        return BETA[self.method] if self.beta is None else self.beta

    @property
    def loss(self) -> str:
        """loss_type, the method's own when empty."""
        return self.loss_type or LOSSES[self.method][0]

    @model_validator(mode="after")
    def _possible(self) -> "TrlConfig":
        problems = []
        if self.lora.dropout:
            problems.append(f"trl.lora.dropout={self.lora.dropout}: set it to 0, log-probabilities are compared")
        if self.loss not in LOSSES[self.method]:
            known = ", ".join(LOSSES[self.method])
            problems.append(f"trl.loss_type={self.loss_type} with align.method={self.method}: choose among {known}")
        if self.online and self.batch % self.num_generations:
            problems.append(
                f"trl.batch={self.batch} is not a multiple of trl.num_generations={self.num_generations}: a step needs "
                "all answers of its prompts"
            )
        if self.micro_batch is not None and self.batch % self.micro_batch:
            problems.append(f"trl.batch={self.batch} is not a multiple of trl.micro_batch={self.micro_batch}")
        if self.method == "kto" and self.micro_batch not in (None, self.batch):
            problems.append(
                f"trl.micro_batch={self.micro_batch} with align.method=kto: its KL is estimated over a forward pass; "
                f"leave it empty or lower trl.batch={self.batch}"
            )
        if self.method == "kto" and self.batch < 2:
            problems.append("trl.batch=1 with align.method=kto: its KL needs answers to other prompts; set 2 or more")
        if self.label_smoothing and self.loss not in ("sigmoid", "robust"):
            problems.append(f"trl.label_smoothing={self.label_smoothing} does nothing with the loss {self.loss}: set 0")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def share_settings(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe with the settings that ``ppo`` and ``trl`` have in common written into the one that lacks them.

    Nothing is added to a recipe of PPO without a ``trl`` block. A recipe of another method may be without ``ppo``.
    """
    align, ppo, trl = (values.get(name) or {} for name in ("align", "ppo", "trl"))
    if not all(isinstance(part, dict) for part in (align, ppo, trl)):
        return dict(values)
    method = align.get("method", "ppo")
    filled = dict(values)
    if method != "ppo" and not ppo:
        filled["ppo"] = {name: trl[name] for name in SHARED if name in trl}
    if method != "ppo" or trl:
        preset = PRESETS.get(str(ppo.get("preset")), {})
        given = {name: value for name, value in fill(ppo, preset).items() if name in SHARED}
        filled["trl"] = {**given, **trl, **({"method": method} if method != "ppo" else {})}
    return filled
