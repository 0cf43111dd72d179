"""What both sides of trl_ppo.py start from: models with random weights, a tokenizer, prompts.

A word of the tokenizer is a token, so that an answer's text, tokenised anew, is the tokens that were sampled. The end
token's id lies outside the models' vocabulary: no answer ends before its last token, on either side.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Size:
    """Shape of the models and amount of work of an iteration."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    batch: int  # answers of an iteration
    minibatch: int  # answers of an optimiser step, and of a forward pass in it
    new_tokens: int
    rank: int  # of every adapter
    iterations: int  # timed ones of a process, by default
    prompts: int = 256
    shortest: int = 16  # tokens of a prompt
    longest: int = 32
    epochs: int = 2


SIZES = {
    "quickstart": Size(2, 128, 4, 4, 344, 900, 64, 32, 64, 16, 6),
    "smollm2": Size(30, 576, 9, 3, 1536, 49_152, 8, 4, 32, 8, 2),
}
PAD = 0


def make_inputs(size: Size, seed: int, folder: Path) -> None:
    """Write start/ (causal model), reward/ (the same weights under a score head) and prompts.json, once."""
    done = folder / "prompts.json"
    if done.exists():
        return
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=PAD,
        attention_dropout=0.0,
    )
    start = LlamaForCausalLM(config)
    config.num_labels = 1
    reward = LlamaForSequenceClassification(config)
    reward.model = start.model
    torch.nn.init.normal_(reward.score.weight)
    tokenizer = make_tokenizer(size.vocabulary)
    for name, model in (("start", start), ("reward", reward)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    drawn = random.Random(seed)
    rows = [
        [drawn.randrange(1, size.vocabulary) for _ in range(drawn.randint(size.shortest, size.longest))]
        for _ in range(size.prompts)
    ]
    # the blank at the end keeps the answer's first word apart
    texts = ["".join(f"w{token} " for token in row) for row in rows]
    done.write_text(json.dumps({"ids": rows, "texts": texts}), encoding="utf-8")


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Words w0 … with their number as id; the end token has the first id that no model has."""
    words = {f"w{number}": number for number in range(vocabulary)} | {"[END]": vocabulary}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w1"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="w0",
        eos_token="[END]",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
