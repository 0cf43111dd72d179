"""A tiny chat model on disk, for the stages that start from one: base folder, fine-tuned adapter, tokenizer."""

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.chat import CHAT_TEMPLATE, SPECIAL_TOKENS

POSITIONS = 128


def save_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Bytes and our special tokens, ids 0 to 3; no merges."""
    vocabulary = {token: number for number, token in enumerate(SPECIAL_TOKENS)}
    for piece in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[piece] = len(vocabulary)
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(SPECIAL_TOKENS)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_models(folder: Path, architecture: str = "llama") -> dict[str, Path]:
    """base and finetuned under ``folder``: two layers of width 32, the adapter with weights of its own."""
    base, finetuned = folder / "base", folder / "finetuned"
    tokenizer = save_tokenizer(base)
    torch.manual_seed(0)
    model: Any
    if architecture == "llama":
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=POSITIONS,
                initializer_range=0.2,
                tie_word_embeddings=True,
                pad_token_id=0,
                eos_token_id=1,
            )
        )
    else:
        # Dropout stays at GPT-2's default of .1: the stages have to switch it off
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=POSITIONS)
        )
    model.save_pretrained(base)
    save_adapter(model, finetuned)
    save_tokenizer(finetuned)
    return {"base": base, "finetuned": finetuned}


def save_adapter(model: Any, folder: Path, seed: int = 1) -> None:
    """A LoRA adapter on all linear layers whose update is not zero."""
    torch.manual_seed(seed)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    adapted.save_pretrained(folder)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
