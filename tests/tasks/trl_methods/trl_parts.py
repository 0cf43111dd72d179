"""A toy preference: answers of the word "ab" are better than answers of the word "cd"."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_parts import write_parts
from transformers import PreTrainedTokenizerBase

from configs.schema.ppo_parts import RewardPart
from configs.schema.sources import PromptSource
from configs.schema.training import CheckpointConfig, LoraSettings, OptimizerConfig
from configs.schema.trl import TrlConfig
from tasks.chat import user
from tasks.inputs import Inputs
from tasks.rankings import RankedPrompt, Ranking, write_rankings


def even_letters(prompts: list[str], completions: list[str], **columns: Any) -> list[float]:
    """The toy's reward: the share of characters with an even code, half of them at first."""
    return [sum(ord(letter) % 2 == 0 for letter in text) / max(len(text), 1) for text in completions]


@dataclass(frozen=True)
class TrlParts:
    """What the stage reads, and a way to make its config."""

    inputs: Inputs
    config: Callable[..., TrlConfig]
    tokenizer: PreTrainedTokenizerBase


def ranked(number: int) -> RankedPrompt:
    good, bad = ["ab" * (1 + number % 3), "ab the ab"], ["cd" * (1 + number % 4), "the cd"]
    return RankedPrompt(user(f"say {number}"), [bad[0], good[0], bad[1], good[1]], [Ranking([2, 1, 2, 1], "a", "toy")])


def write_trl_parts(tmp_path: Path) -> TrlParts:
    made = write_parts(tmp_path)
    rankings = tmp_path / "rankings"
    rankings.mkdir()
    write_rankings(rankings, "train", [ranked(number) for number in range(12)])
    write_rankings(rankings, "heldout", [ranked(number) for number in range(100, 104)])
    inputs = Inputs(folders={**made.inputs.folders, "rankings": rankings}, sources=made.inputs.sources)

    def config(method: str, **changes: object) -> TrlConfig:
        values: dict[str, object] = {
            "method": method,
            "prompts": PromptSource(path="prompts.jsonl"),
            "rewards": [RewardPart(function="trl_parts:even_letters")],
            "steps": 4,
            "batch": 8,
            "num_generations": 4,
            "max_length": 100,
            "max_new_tokens": 8,
            "max_prompt_tokens": 40,
            "missing_eos_penalty": 0.0,
            "lora": LoraSettings(rank=4, alpha=8.0),
            "optimizer": OptimizerConfig(learning_rate=2e-2, warmup_steps=0),
            "checkpoint": CheckpointConfig(every=1),
            "seed": 0,
        }
        return TrlConfig(**{**values, **changes})  # type: ignore[arg-type]

    return TrlParts(inputs, config, made.tokenizer)
