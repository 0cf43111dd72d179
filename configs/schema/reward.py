"""Reward stage: a scalar model from K-way rankings."""

from typing import Literal

from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, setting
from configs.schema.training import CheckpointConfig, LoraSettings, OptimizerConfig


class RewardConfig(Strict):
    """Ranking loss over all pairs of a prompt (InstructGPT) or Plackett-Luce."""

    method: Literal["full", "lora"] = setting("full", "Train all weights of the fine-tuned model, or an adapter.")
    lora: LoraSettings = setting(LoraSettings(), "The adapter, with method lora.")
    objective: Literal["pairs", "plackett-luce"] = setting("pairs", "Loss of one prompt.")
    readout: Literal["last", "mean", "match"] = setting(
        "mean",
        "Score read at the last token (InstructGPT), as the mean over the answer's tokens, or with the match of each "
        "token with what the fine-tuned model expected there.",
    )
    epochs: int = setting(1, "Passes over the prompts.", unit="epochs", ge=1)
    prompts_per_step: int = setting(8, "Prompts a step over all processes.", unit="prompts", ge=1)
    max_length: int = setting(512, "Longer conversations are cut at the left.", unit="tokens", ge=8)
    optimizer: OptimizerConfig = setting(OptimizerConfig(learning_rate=1e-3), "Optimiser and schedule.")
    checkpoint: CheckpointConfig = setting(CheckpointConfig(), "Checkpoints.")
    shuffle_labels: bool = setting(False, "Control: train on shuffled rankings; accuracy must fall to a half.")
    probes: Literal["world", "none"] = setting("none", "Minimal pairs that change one attribute, by the small world.")
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)
