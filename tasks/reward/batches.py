"""Ranked prompts as tensors: each candidate encoded once, a step's prompts padded together."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tasks.models import pad_batch
from tasks.rankings import RankedPrompt, Ranking
from tasks.scoring import Conversation, encode_answer


@dataclass(frozen=True)
class EncodedPrompt:
    """The K conversations of one prompt, its rankings, and the weight of the prompt for each member of an ensemble."""

    rows: list[Conversation]
    rankings: list[Ranking]
    weights: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Block:
    """R rankings of like width; K candidates of the widest, unranked ones left out.

    candidate_RK: row of the pass (0 for padding), ranks_RK (0 for padding), ratings_RK (not a number without),
    weight_RM: what the ranking counts for each member; one prompt's rankings share the weight of the prompt.
    """

    candidate_RK: Tensor
    ranks_RK: Tensor
    ratings_RK: Tensor
    weight_RM: Tensor


@dataclass(frozen=True)
class RankBatch:
    """Prompts of one forward pass: B candidates of all of them, each once, and their rankings in blocks.

    ids_BT right padded, lengths_B, start_B first position of the answer. prompts: how many have a pair.
    """

    ids_BT: Tensor
    lengths_B: Tensor
    start_B: Tensor
    blocks: list[Block]
    prompts: int

    def to(self, device: torch.device) -> "RankBatch":
        moved = [Block(*(tensor.to(device) for tensor in block.__dict__.values())) for block in self.blocks]
        return RankBatch(
            self.ids_BT.to(device), self.lengths_B.to(device), self.start_B.to(device), moved, self.prompts
        )


def encode_items(tokenizer: PreTrainedTokenizerBase, items: list[RankedPrompt], max_length: int) -> list[EncodedPrompt]:
    """Each candidate of each item as token ids."""
    return [
        EncodedPrompt(
            [encode_answer(tokenizer, item.prompt, text, max_length) for text in item.candidates], item.rankings
        )
        for item in items
    ]


def has_pair(ranks: list[int]) -> bool:
    """Whether two candidates have different ranks."""
    return len({rank for rank in ranks if rank}) > 1


def collate(prompts: list[EncodedPrompt], pad_id: int) -> RankBatch:
    """One batch of the prompts given; at least one. Rankings without a pair are left out: they have no loss."""
    ids_BT, mask_BT = pad_batch([row.ids for prompt in prompts for row in prompt.rows], pad_id)
    start_B = torch.tensor([row.start for prompt in prompts for row in prompt.rows])
    placed: list[_Placed] = []
    first = 0
    for prompt in prompts:
        useful = [ranking for ranking in prompt.rankings if has_pair(ranking.ranks)]
        for ranking in useful:
            placed.append(_place(ranking, first, [weight / len(useful) for weight in prompt.weights]))
        first += len(prompt.rows)
    counted = sum(any(has_pair(ranking.ranks) for ranking in prompt.rankings) for prompt in prompts)
    return RankBatch(ids_BT, mask_BT.sum(1), start_B, [_block(group) for group in _by_width(placed)], counted)


@dataclass(frozen=True)
class _Placed:
    """One ranking without the candidates that it does not rank; candidates are rows of the pass."""

    candidates: list[int]
    ranks: list[int]
    ratings: list[float]
    weights: list[float]


def _place(ranking: Ranking, first: int, weights: list[float]) -> _Placed:
    ranked = [number for number, rank in enumerate(ranking.ranks) if rank]
    return _Placed(
        [first + number for number in ranked],
        [ranking.ranks[number] for number in ranked],
        [ranking.ratings[number] if ranking.ratings else math.nan for number in ranked],
        weights,
    )


def _by_width(placed: list[_Placed]) -> Iterator[list[_Placed]]:
    """Groups in which no ranking is less than half as wide as the widest. Fifty judgements of two answers beside one
    ranking of 52 would otherwise be padded to 52 x 52 each.
    """
    left = placed
    while left:
        widest = max(len(one.ranks) for one in left)
        yield [one for one in left if 2 * len(one.ranks) > widest]
        left = [one for one in left if 2 * len(one.ranks) <= widest]


def _block(group: list[_Placed]) -> Block:
    widest = max(len(one.ranks) for one in group)
    room = [widest - len(one.ranks) for one in group]
    return Block(
        torch.tensor([one.candidates + [0] * more for one, more in zip(group, room, strict=True)]),
        torch.tensor([one.ranks + [0] * more for one, more in zip(group, room, strict=True)]),
        torch.tensor([one.ratings + [math.nan] * more for one, more in zip(group, room, strict=True)]),
        torch.tensor([one.weights for one in group]),
    )


def padded_tokens(rows: list[Conversation]) -> int:
    """Tokens of a pass of these rows: each is as long as the longest."""
    return len(rows) * max(len(row.ids) for row in rows)


def passes(prompts: list[EncodedPrompt], most: int) -> list[list[EncodedPrompt]]:
    """The prompts of a step in groups of at most ``most`` padded tokens, in order; a prompt with more stands alone."""
    groups: list[list[EncodedPrompt]] = []
    rows: list[Conversation] = []
    for prompt in prompts:
        rows = [*rows, *prompt.rows]
        if not groups or padded_tokens(rows) > most:
            groups.append([])
            rows = prompt.rows
        groups[-1].append(prompt)
    return groups


def row_parts(lengths: list[int], most: int) -> list[slice]:
    """Rows of these lengths in parts of at most ``most`` padded tokens, in order; a longer row stands alone."""
    parts: list[slice] = []
    first, longest = 0, 0
    for row, length in enumerate(lengths):
        longest = max(longest, length)
        if row > first and (row + 1 - first) * longest > most:
            parts.append(slice(first, row))
            first, longest = row, length
    return [*parts, slice(first, len(lengths))]


def bootstrap(prompts: list[EncodedPrompt], members: int, seed: int) -> list[EncodedPrompt]:
    """For each member, how often each prompt comes when as many as there are get drawn with replacement (Efron 1979);
    one member takes every prompt once.
    """
    if members == 1:
        return prompts
    counts = []
    for member in range(members):
        drawn = random.Random(f"{seed}:bootstrap {member}").choices(range(len(prompts)), k=len(prompts))
        count = [0] * len(prompts)
        for number in drawn:
            count[number] += 1
        counts.append(count)
    return [
        replace(prompt, weights=tuple(float(count[number]) for count in counts))
        for number, prompt in enumerate(prompts)
    ]


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
