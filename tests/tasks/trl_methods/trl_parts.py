"""A toy of sixteen tokens: answers of the letter "a" are better than answers of the letter "b"."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from ppo_parts import save_model, tiny_llama, write_parts
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from configs.schema.ppo_parts import RewardPart
from configs.schema.sources import PromptSource
from configs.schema.training import CheckpointConfig, LoraSettings, OptimizerConfig
from configs.schema.trl import TrlConfig
from tasks.chat import SPECIAL_TOKENS, load_tokenizer, user
from tasks.inputs import Inputs
from tasks.rankings import RankedPrompt, Ranking, write_rankings

LETTERS = "abcdefghijkl"


def share_of_a(prompts: list[str], completions: list[str], **columns: Any) -> list[float]:
    """The toy's reward: the share of the letter a in an answer, 0 for an empty one."""
    words = [text.split() for text in completions]
    return [answer.count("a") / max(len(answer), 1) for answer in words]


@dataclass(frozen=True)
class TrlParts:
    """What the stage reads, and a way to make its config."""

    inputs: Inputs
    config: Callable[..., TrlConfig]
    tokenizer: PreTrainedTokenizerBase


def letters() -> PreTrainedTokenizerFast:
    """Sixteen tokens: ours, and one a letter; every other word is an l."""
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *LETTERS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="l"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|endoftext|>")


def ranked(number: int) -> RankedPrompt:
    good, bad = ["a " * (1 + number % 3), "a c a"], ["b " * (1 + number % 4), "c b"]
    prompt = user(f"{LETTERS[number % 11]} {LETTERS[number % 7]}")
    return RankedPrompt(prompt, [bad[0], good[0], bad[1], good[1]], [Ranking([2, 1, 2, 1], "x", "toy")])


def write_trl_parts(tmp_path: Path) -> TrlParts:
    """Base, fine-tuned adapter with weights of its own, the reward model of the PPO tests, prompts, rankings."""
    reward = write_parts(tmp_path / "ppo").inputs.folders["reward"]
    tokenizer = letters()
    base, finetuned, rankings = (tmp_path / name for name in ("base", "finetuned", "rankings"))
    model = tiny_llama(len(tokenizer))
    save_model(model, base)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, param in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(param, std=0.05)
    adapted.save_pretrained(finetuned)
    for folder in (base, finetuned):
        tokenizer.save_pretrained(folder)
    prompts = tmp_path / "prompts.jsonl"
    asked = [f"{first} {second}" for first in LETTERS[:5] for second in LETTERS[5:9]]
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in asked), encoding="utf-8")
    rankings.mkdir()
    write_rankings(rankings, "train", [ranked(number) for number in range(12)])
    write_rankings(rankings, "heldout", [ranked(number) for number in range(100, 104)])
    folders = {"base": base, "finetuned": finetuned, "reward": reward, "rankings": rankings}
    inputs = Inputs(folders=folders, sources={"prompts.jsonl": [prompts]})

    def config(method: str, **changes: object) -> TrlConfig:
        values: dict[str, object] = {
            "method": method,
            "prompts": PromptSource(path="prompts.jsonl"),
            "rewards": [RewardPart(function="trl_parts:share_of_a")],
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

    return TrlParts(inputs, config, load_tokenizer(finetuned))
