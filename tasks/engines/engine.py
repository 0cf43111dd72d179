"""What a rollout asks of an engine. Engines return tokens alone: log-probabilities come from the training pass."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import nn


class Answer(NamedTuple):
    """Sampled ids, the end token included, and whether it ended by itself."""

    ids: list[int]
    ended: bool


@dataclass(frozen=True)
class Sampling:
    """Settings of one call. The whole vocabulary, softmax(logits / temperature); 0 takes the likeliest token."""

    max_new_tokens: int
    temperature: float
    end_ids: list[int]
    pad_id: int


class Weights(Protocol):
    """What an engine may take from a policy."""

    @property
    def merged(self) -> nn.Module: ...

    def save(self, folder: Path, start_model: str) -> None: ...


class Engine(Protocol):
    """``sync`` before the first ``generate`` and after every change of the policy; ``close`` at the end."""

    def sync(self, policy: Weights) -> None:
        """Answer with the policy of this moment from now on."""

    def generate(self, prompts: list[list[int]], sampling: Sampling, generator: torch.Generator) -> list[Answer]:
        """One answer a prompt, in order. Engines that take a number for a seed use the generator's."""

    def close(self) -> None:
        """Give back what is held."""


def answer(ids: list[int], end_ids: list[int]) -> Answer:
    """Ids up to and including the first end token."""
    for place, token in enumerate(ids):
        if token in end_ids:
            return Answer(ids[: place + 1], True)
    return Answer(ids, False)


def seed_of(generator: torch.Generator) -> int:
    """The generator's seed as vLLM and transformers take it, 32 bits."""
    return generator.initial_seed() % 2**32
