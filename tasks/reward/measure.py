"""What a reward model has learnt: accuracy on held-out pairs, and by attribute on minimal pairs."""

import statistics
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from tasks.chat import user
from tasks.models import pad_batch
from tasks.rankings import RankedPrompt, pair_accuracy
from tasks.reward.batches import EncodedPrompt, encode_answer
from tasks.reward.model import scores

ROWS = 64  # conversations a forward pass


@torch.inference_mode()
def score_rows(model: nn.Module, rows: list[list[int]], pad_id: int, device: torch.device) -> list[float]:
    """Score of each conversation, in the order given. Rows of like length share a pass, to pad little."""
    model.eval()
    order = sorted(range(len(rows)), key=lambda index: (len(rows[index]), index))
    found = [0.0] * len(rows)
    for start in range(0, len(order), ROWS):
        chosen = order[start : start + ROWS]
        ids_BT, mask_BT = pad_batch([rows[index] for index in chosen], pad_id)
        values = scores(model, ids_BT.to(device), mask_BT.sum(1).to(device))
        for index, value in zip(chosen, values.tolist(), strict=True):
            found[index] = value
    return found


def score_prompts(
    model: nn.Module, prompts: list[EncodedPrompt], pad_id: int, device: torch.device
) -> list[list[float]]:
    """Scores of the candidates of each prompt."""
    flat = iter(score_rows(model, [ids for prompt in prompts for ids in prompt.ids], pad_id, device))
    return [[next(flat) for _ in prompt.ids] for prompt in prompts]


def heldout_accuracy(
    model: nn.Module, items: list[RankedPrompt], prompts: list[EncodedPrompt], pad_id: int, device: torch.device
) -> float:
    """Pair accuracy on held-out prompts; ties are left out, equal scores count half."""
    return pair_accuracy(items, score_prompts(model, prompts, pad_id, device))[0]


def world_probes(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    max_length: int,
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    """By attribute of the small world: accuracy on minimal pairs, their number, and the mean gap of the scores."""
    from tasks.world.probes import minimal_pairs

    found: dict[str, dict[str, Any]] = {}
    for attribute, triples in minimal_pairs(seed).items():
        rows = [
            encode_answer(tokenizer, user(prompt), answer, max_length)
            for prompt, better, worse in triples
            for answer in (better, worse)
        ]
        values = score_rows(model, rows, int(tokenizer.pad_token_id), device)
        gaps = [values[at] - values[at + 1] for at in range(0, len(values), 2)]
        right = sum(1.0 if gap > 0 else 0.5 if gap == 0 else 0.0 for gap in gaps)
        found[attribute] = {
            "accuracy": right / len(gaps),
            "pairs": len(gaps),
            "mean_gap": statistics.fmean(gaps),
        }
    return found
