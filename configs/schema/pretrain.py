"""Pretrain stage: next-token training from scratch, or a given base."""

from typing import Literal

from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, setting
from configs.schema.tokenizer import BASE_DOC
from configs.schema.training import CheckpointConfig, OptimizerConfig


class PretrainConfig(Strict):
    """A causal language model: architecture, data order, optimiser."""

    base: str | None = setting(None, BASE_DOC, keyed=False)
    architecture: Literal["llama", "gpt2"] = setting("llama", "Shape trained from scratch; unused with a base.")
    hidden: int = setting(128, "Width of the residual stream.", unit="channels", ge=8)
    layers: int = setting(2, "Transformer blocks.", unit="blocks", ge=1)
    heads: int = setting(4, "Attention heads.", unit="heads", ge=1)
    mlp: int = setting(344, "Width of the feed-forward layer.", unit="channels", ge=8)
    initializer_range: float = setting(0.02, "Standard deviation of initial weights.", gt=0)
    context: int = setting(256, "Longest row.", unit="tokens", ge=8)
    rows: Literal["packed", "documents"] = setting("packed", "A row is a full block of text, or one document.")
    attention: Literal["full", "document"] = setting(
        "full", "In packed rows, what a token sees: all before it in the row, or what its document has."
    )
    steps: int = setting(500, "Optimiser steps; 0 takes the base as it is.", unit="steps", ge=0)
    batch: int = setting(16, "Rows a step over all processes.", unit="rows", ge=1)
    optimizer: OptimizerConfig = setting(OptimizerConfig(), "Optimiser and schedule.")
    checkpoint: CheckpointConfig = setting(CheckpointConfig(), "Checkpoints.")
    heldout_documents: int = setting(512, "Held-out documents for perplexity.", unit="documents", ge=1)
    ngram_order: int = setting(
        3,
        "Tokens of the n-gram model to compare with, the predicted one included; 0 for none.",
        keyed=False,
        ge=0,
        le=5,
    )
    ngram_tokens: int = setting(
        5_000_000, "Training tokens that the n-gram model counts, from the start.", unit="tokens", keyed=False, ge=1
    )
    seed: int | None = setting(None, "Seed of weights and data order; the recipe's seed when empty.")
    launch: LaunchConfig = setting(LaunchConfig(), "How the stage is started.", keyed=False)
