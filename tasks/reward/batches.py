"""Ranked prompts as tensors: each candidate encoded once, a step's prompts padded together."""

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tasks.models import pad_batch
from tasks.rankings import RankedPrompt, Ranking
from tasks.scoring import Conversation, encode_answer


@dataclass(frozen=True)
class EncodedPrompt:
    """The K conversations of one prompt, and the annotators' ranks."""

    rows: list[Conversation]
    ranks: list[list[int]]


@dataclass(frozen=True)
class RankBatch:
    """Prompts of one forward pass.

    B candidates of all prompts, R rankings of them, K candidates of the longest ranking.
    ids_BT right padded, lengths_B, start_B first position of the answer; candidate_RK row of B (0 for padding),
    ranks_RK (0 for padding); prompt_R.
    """

    ids_BT: Tensor
    lengths_B: Tensor
    start_B: Tensor
    candidate_RK: Tensor
    ranks_RK: Tensor
    prompt_R: Tensor

    def to(self, device: torch.device) -> "RankBatch":
        return RankBatch(*(tensor.to(device) for tensor in self.__dict__.values()))


def encode_items(tokenizer: PreTrainedTokenizerBase, items: list[RankedPrompt], max_length: int) -> list[EncodedPrompt]:
    """Each candidate of each item as token ids."""
    return [
        EncodedPrompt([encode_answer(tokenizer, item.prompt, text, max_length) for text in item.candidates], item.ranks)
        for item in items
    ]


def collate(prompts: list[EncodedPrompt], pad_id: int) -> RankBatch:
    """One batch of the prompts given; at least one."""
    ids_BT, mask_BT = pad_batch([row.ids for prompt in prompts for row in prompt.rows], pad_id)
    widest = max(len(prompt.rows) for prompt in prompts)
    candidates, ranks, owners, first = [], [], [], 0
    for number, prompt in enumerate(prompts):
        count = len(prompt.rows)
        for ranking in prompt.ranks:
            candidates.append([first + k if k < count else 0 for k in range(widest)])
            ranks.append(ranking + [0] * (widest - count))
            owners.append(number)
        first += count
    start_B = torch.tensor([row.start for prompt in prompts for row in prompt.rows])
    return RankBatch(
        ids_BT,
        mask_BT.sum(1),
        start_B,
        torch.tensor(candidates),
        torch.tensor(ranks),
        torch.tensor(owners),
    )


def shuffled_ranks(items: list[RankedPrompt], seed: int) -> list[RankedPrompt]:
    """The control: the same prompts, candidates and ranks, but each ranking handed out at random."""
    rng = random.Random(f"{seed}:shuffled labels")

    def shuffled(ranking: Ranking) -> Ranking:
        return replace(ranking, ranks=rng.sample(ranking.ranks, len(ranking.ranks)))

    return [replace(item, rankings=[shuffled(ranking) for ranking in item.rankings]) for item in items]


def step_prompts(step: int, prompts: int, per_step: int, seed: int) -> list[int]:
    """Numbers of the prompts of one step, from the step alone: each epoch is a seeded permutation, cut in order."""
    steps = steps_per_epoch(prompts, per_step)
    epoch, position = divmod(step, steps)
    order = list(range(prompts))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return order[position * per_step : (position + 1) * per_step]


def steps_per_epoch(prompts: int, per_step: int) -> int:
    """Steps that see every prompt once; the last may be smaller."""
    return -(-prompts // per_step)
