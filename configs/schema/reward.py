"""Reward stage: a scalar model from K-way rankings, how it is judged, and what it must reach."""

from typing import Literal

from pydantic import model_validator

from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, setting
from configs.schema.training import CheckpointConfig, LoraSettings, OptimizerConfig


class GateConfig(Strict):
    """What a reward model must reach before PPO is trained on it."""

    margin: float = setting(
        0.02, "Held-out accuracy must exceed the length-only baseline by this.", unit="share", keyed=False, ge=0, lt=1
    )
    refuse: bool = setting(True, "Stop the run before PPO when it does not; false goes on.", keyed=False)


class RewardConfig(Strict):
    """Ranking loss over all pairs of a prompt (InstructGPT) or Plackett-Luce."""

    method: Literal["lora", "full"] = setting(
        "lora", "Train an adapter and a head on the frozen fine-tuned model, or all its weights."
    )
    lora: LoraSettings = setting(LoraSettings(), "The adapter, with method lora.")
    base: str | None = setting(
        None,
        "A separate base: folder, hub id, GGUF file, or package:NAME/FILE; empty starts from the fine-tuned model.",
        keyed=False,
    )
    revision: str | None = setting(None, "Revision of a separate base that is a hub id.")
    objective: Literal["pairs", "plackett-luce"] = setting("pairs", "Loss of one prompt.")
    margin: Literal["none", "rank", "rating"] = setting(
        "none", "What the better score must be ahead by grows with the distance of ranks, or of ratings (Llama 2)."
    )
    margin_scale: float = setting(1.0, "Margin a rank, or a point of the ratings.", unit="score", gt=0)
    centre: float = setting(
        0.0,
        "Weight of the squared sum of a pair's scores, which keeps scores near 0 (TRL: .01).",
        unit="1/score²",
        ge=0,
    )
    label_smoothing: float = setting(
        0.0, "Share of pairs taken to be ordered wrongly, with objective pairs.", unit="share", ge=0, lt=0.5
    )
    readout: Literal["last", "mean", "match"] = setting(
        "mean",
        "Score read at the last token (InstructGPT), as the mean over the answer's tokens, or with the match of each "
        "token with what the fine-tuned model expected there.",
    )
    members: int = setting(1, "Members of the ensemble; the score is their mean.", unit="members", ge=1, le=32)
    ensemble: Literal["heads", "seeds"] = setting(
        "heads", "Members are heads on one trunk, each on its own bootstrap of the prompts, or trainings of their own."
    )
    normalise: Literal["standard", "mean", "none"] = setting(
        "mean", "Shift scores so that reference answers average 0; standard also makes their deviation 1."
    )
    reference: Literal["best", "candidates"] = setting(
        "best", "Reference answers: the best-ranked ones of the training prompts, or all candidates."
    )
    reference_prompts: int = setting(256, "Training prompts that give reference answers.", unit="prompts", ge=1)
    epochs: int = setting(1, "Passes over the prompts.", unit="epochs", ge=1)
    prompts_per_step: int = setting(8, "Prompts a step over all processes.", unit="prompts", ge=1)
    tokens_per_pass: int = setting(
        4096,
        "Padded size of one forward pass; a prompt with more is computed in parts, and the loss stays the same.",
        unit="tokens",
        ge=1,
    )
    max_length: int = setting(512, "Longer conversations are cut at the left.", unit="tokens", ge=8)
    optimizer: OptimizerConfig = setting(OptimizerConfig(learning_rate=1e-3), "Optimiser and schedule.")
    checkpoint: CheckpointConfig = setting(CheckpointConfig(), "Checkpoints.")
    shuffle_labels: bool = setting(False, "Control: train on shuffled rankings; accuracy must fall to a half.")
    probes: Literal["world", "none"] = setting("none", "Minimal pairs that change one attribute, by the small world.")
    gate: GateConfig = setting(GateConfig(), "What it must reach before PPO.", keyed=False)
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)

    @model_validator(mode="after")
    def _agree(self) -> "RewardConfig":
        """Refuse what one objective or base does not have."""
        if self.objective != "pairs" and (self.margin != "none" or self.label_smoothing):
            raise ValueError(
                f"objective={self.objective} has no pairs: margin={self.margin} and label_smoothing="
                f"{self.label_smoothing} need objective=pairs"
            )
        if self.revision is not None and self.base is None:
            raise ValueError(f"revision={self.revision!r} without base: name the separate base, or drop the revision")
        return self
