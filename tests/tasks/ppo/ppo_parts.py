"""Tiny models and a tiny tokenizer, made on the fly, with the folders that the stage reads."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from configs.schema.ppo import PPOConfig
from configs.schema.sources import PromptSource
from configs.schema.training import CheckpointConfig, LoraSettings
from tasks.chat import CHAT_TEMPLATE, SPECIAL_TOKENS, load_tokenizer
from tasks.inputs import Inputs

PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15]]
ANSWERS = [[20, 21, 1], [22, 23, 24, 25, 26], [27]]
WORDS = ["ab", "cd", "the", "ing"]


def byte_tokenizer(merges: list[str]) -> PreTrainedTokenizerFast:
    """All bytes, our special tokens at ids 0 to 3, and the merges that spell a few words."""
    vocabulary = {token: number for number, token in enumerate(SPECIAL_TOKENS)}
    pairs: list[tuple[str, str]] = []
    pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
    for word in merges:
        for end in range(2, len(word) + 1):
            pairs.append((word[: end - 1], word[end - 1]))
            pieces.append(word[:end])
    for piece in dict.fromkeys(pieces):
        vocabulary[piece] = len(vocabulary)
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=list(dict.fromkeys(pairs))))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(SPECIAL_TOKENS)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_llama(vocabulary: int, seed: int = 0) -> LlamaForCausalLM:
    """Two layers of width 32, with logits far enough from uniform to tell models apart."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**_llama(vocabulary))).eval()


def _llama(vocabulary: int) -> dict[str, object]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.2,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 1,
    }


def tiny_gpt2(vocabulary: int, dropout: float = 0.0, seed: int = 0) -> GPT2LMHeadModel:
    """The same size with learned positions and matrices stored transposed."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=128,
        initializer_range=0.2,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=1,
        eos_token_id=1,
    )
    return GPT2LMHeadModel(config).eval()


@dataclass(frozen=True)
class Parts:
    """What the stage reads, and a way to make its config."""

    inputs: Inputs
    config: Callable[..., PPOConfig]
    tokenizer: PreTrainedTokenizerBase


def save_model(model: PreTrainedModel, folder: Path) -> None:
    model.save_pretrained(folder, safe_serialization=True)


def write_parts(tmp_path: Path) -> Parts:
    """Base, fine-tuned adapter with weights of its own, reward model with another tokenizer, prompts."""
    tokenizer, other = byte_tokenizer(WORDS), byte_tokenizer(["ing"])
    base, finetuned, reward = (tmp_path / name for name in ("base", "finetuned", "reward"))
    model = tiny_llama(len(tokenizer))
    save_model(model, base)
    tokenizer.save_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, param in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(param, std=0.1)
    adapted.save_pretrained(finetuned)
    tokenizer.save_pretrained(finetuned)
    torch.manual_seed(5)
    classifier = LlamaForSequenceClassification(LlamaConfig(**_llama(len(other)), num_labels=1)).eval()
    save_model(classifier, reward)
    other.save_pretrained(reward)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"say ab {n}"}) + "\n" for n in range(20)), encoding="utf-8")
    inputs = Inputs(
        folders={"base": base, "finetuned": finetuned, "reward": reward}, sources={"prompts.jsonl": [prompts]}
    )

    def config(**changes: object) -> PPOConfig:
        values: dict[str, object] = {
            "prompts": PromptSource(path="prompts.jsonl"),
            "iterations": 4,
            "batch": 6,
            "minibatch": 3,
            "max_new_tokens": 8,
            "max_prompt_tokens": 40,
            "lora": LoraSettings(rank=4, alpha=8.0),
            "checkpoint": CheckpointConfig(every=1),
            "seed": 0,
        }
        return PPOConfig(**{**values, **changes})

    return Parts(inputs, config, load_tokenizer(finetuned))


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def digests(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def letter_tokenizer() -> PreTrainedTokenizerFast:
    """Sixteen tokens: ours, and one a letter from a to l."""
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *"abcdefghijkl"])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="l"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|endoftext|>")
