"""Conversations to examples: token ids with a mask, too long ones left out, held-out prompts kept apart."""

import hashlib
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tasks.chat import encode_conversations
from tasks.failures import BadData
from tasks.instructions import Messages

BATCH = 1000  # conversations in one call of the tokenizer


@dataclass(frozen=True)
class Example:
    """One conversation. mask: 1 on the tokens that are learned, the assistant's. prompt: the first user turn."""

    prompt: str
    ids: list[int]
    mask: list[int]

    @property
    def labels(self) -> list[int]:
        """The ids that are learned, -100 elsewhere."""
        return [token if learned else -100 for token, learned in zip(self.ids, self.mask, strict=True)]

    @property
    def prompt_tokens(self) -> int:
        """Tokens before the first one that is learned."""
        return self.mask.index(1)


@dataclass(frozen=True)
class Split:
    """Disjoint by prompt. ``repeated``: rows left out because their prompt is held out."""

    train: list[Example]
    heldout: list[Example]
    repeated: int


def encode(
    tokenizer: PreTrainedTokenizerBase, conversations: list[Messages], max_length: int
) -> tuple[list[Example], int]:
    """Examples in order, and how many conversations are longer than ``max_length`` tokens and left out."""
    examples, too_long = [], 0
    for start in range(0, len(conversations), BATCH):
        part = conversations[start : start + BATCH]
        for messages, (ids, mask) in zip(part, encode_conversations(tokenizer, part), strict=True):
            if len(ids) > max_length:
                too_long += 1
                continue
            prompt = next(message["content"] for message in messages if message["role"] == "user")
            examples.append(Example(prompt, ids, mask))
    return examples, too_long


def split(examples: list[Example], heldout: int, seed: int, prompt_limit: int | None) -> Split:
    """Hold out ``heldout`` different prompts, chosen by a seeded hash of their text, one example each.

    A prompt of more than ``prompt_limit`` tokens is not chosen: no answer would fit behind it. No other row with
    a held-out prompt is trained on. Raises BadData when too few prompts are left.
    """
    first = {example.prompt: example for example in reversed(examples)}
    fitting = [
        prompt for prompt, example in first.items() if prompt_limit is None or example.prompt_tokens <= prompt_limit
    ]
    chosen = sorted(fitting, key=lambda prompt: hashlib.sha256(f"{seed}/{prompt}".encode()).digest())[:heldout]
    kept = set(chosen)
    train = [example for example in examples if example.prompt not in kept]
    if len(chosen) < heldout or not train:
        raise BadData(
            f"{len(examples)} usable examples with {len(first)} different prompts cannot hold out {heldout} and "
            "train on the rest; lower finetune.heldout, raise finetune.max_length or add a source"
        )
    return Split(train, [first[prompt] for prompt in chosen], len(examples) - len(train) - heldout)
