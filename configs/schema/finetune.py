"""Finetune stage: LoRA on instructions, loss on the assistant's tokens only."""

from typing import Literal

from configs.schema.launch import LaunchConfig
from configs.schema.sources import InstructionSource
from configs.schema.strict import Strict, setting
from configs.schema.training import CheckpointConfig, LoraSettings, OptimizerConfig


class FinetuneConfig(Strict):
    """Instruction fine-tuning through TRL's SFTTrainer."""

    sources: list[InstructionSource] = setting(..., "Instructions with answers.", min_length=1)
    heldout: int = setting(96, "Instructions held out of training, for the measurements.", unit="rows", ge=1)
    lora: LoraSettings = setting(LoraSettings(), "The adapter.")
    steps: int = setting(200, "Optimiser steps.", unit="steps", ge=1)
    batch: int = setting(16, "Examples a step over all processes.", unit="rows", ge=1)
    micro_batch: int | None = setting(
        None, "Examples a forward pass; the whole batch when empty.", unit="rows", keyed=False, ge=1
    )
    max_length: int = setting(256, "Longer examples are left out and counted.", unit="tokens", ge=8)
    optimizer: OptimizerConfig = setting(OptimizerConfig(), "Optimiser and schedule.")
    checkpoint: CheckpointConfig = setting(CheckpointConfig(), "Checkpoints.")
    checker: Literal["world", "wellformed"] = setting(
        "wellformed", "Instruction following: the small world's checker, or form alone (ends, no loop, not a copy)."
    )
    max_new_tokens: int = setting(64, "Longest answer when measuring.", unit="tokens", ge=1)
    seed: int | None = setting(None, "Seed; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)
