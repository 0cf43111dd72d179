"""What planner.py trains: folders as the stages before PPO leave them, with random weights and any shape.

A word of the tokenizer is a token. The end token has one id of the whole vocabulary: random weights sample it once in
as many tokens, so nearly all answers have full length, as the planner assumes.
"""

import json
import random
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from ppo_inputs import Size
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from tasks.artifacts.digest import digest_of
from tasks.chat import CHAT_TEMPLATE, SPECIAL_TOKENS
from tasks.reward_network import Reading

ROLES = ["user", "assistant"]
MARKS = 5  # tokens that the template puts around a prompt
POSITIONS = 1024


def make_folders(size: Size, architecture: str, seed: int, folder: Path) -> None:
    """Write base/, finetuned/, reward-whole/, reward-adapter/ and prompts.jsonl, once."""
    done = folder / "prompts.jsonl"
    if done.exists():
        return
    torch.manual_seed(seed)
    tokenizer = make_tokenizer(size.vocabulary)
    model = make_model(size, architecture)
    save(model, tokenizer, folder / "base")
    if architecture == "llama":
        save(LlamaForSequenceClassification(llama(size, num_labels=1)), tokenizer, folder / "reward-whole")
    adapted = get_peft_model(
        model,
        LoraConfig(
            r=size.rank,
            lora_alpha=2 * size.rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
            fan_in_fan_out=architecture == "gpt2",
        ),
    )
    for name in ("finetuned", "reward-adapter"):
        for parameter, weight in adapted.named_parameters():
            if "lora_B" in parameter:
                torch.nn.init.normal_(weight, std=0.001)
        save(adapted, tokenizer, folder / name)
    reading = Reading(base=digest_of(folder / "base"), finetuned=digest_of(folder / "finetuned"))
    (folder / "reward-adapter" / "reward.json").write_text(json.dumps(reading.plain()), encoding="utf-8")
    save_file({"score": torch.randn(1, size.hidden)}, folder / "reward-adapter" / "head.safetensors")
    drawn = random.Random(seed)
    rows = [
        " ".join(
            f"w{drawn.randrange(10, size.vocabulary)}"
            for _ in range(drawn.randint(size.shortest, size.longest) - MARKS)
        )
        for _ in range(size.prompts)
    ]
    done.write_text("".join(json.dumps({"prompt": row}) + "\n" for row in rows), encoding="utf-8")


def make_model(size: Size, architecture: str) -> Any:
    """A causal model with random weights, input and output embeddings one matrix."""
    if architecture == "llama":
        return LlamaForCausalLM(llama(size))
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=size.vocabulary,
            n_embd=size.hidden,
            n_layer=size.layers,
            n_head=size.heads,
            n_inner=size.mlp,
            n_positions=POSITIONS,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=1,
            eos_token_id=1,
        )
    )


def llama(size: Size, **more: Any) -> LlamaConfig:
    """Settings of a Llama of this shape."""
    return LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
        **more,
    )


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Our special tokens, two roles, and words w6 … with their number as id."""
    words = [*SPECIAL_TOKENS, *ROLES]
    words += [f"w{number}" for number in range(len(words), vocabulary)]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="w10"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(SPECIAL_TOKENS)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def save(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Model and tokenizer in one folder, as an artifact has them."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
