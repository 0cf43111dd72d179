"""What a reward model has learnt: accuracy on held-out pairs, and by attribute on minimal pairs."""

import statistics
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.chat import user
from tasks.rankings import RankedPrompt, pair_accuracy
from tasks.reward.batches import EncodedPrompt
from tasks.scoring import encode_answer, reward_scores


def score_prompts(model: PreTrainedModel, prompts: list[EncodedPrompt], pad_id: int) -> list[list[float]]:
    """Scores of the candidates of each prompt."""
    flat = iter(reward_scores(model, [row for prompt in prompts for row in prompt.rows], pad_id).tolist())
    return [[next(flat) for _ in prompt.rows] for prompt in prompts]


def mean_score(model: PreTrainedModel, prompts: list[EncodedPrompt], pad_id: int, most: int = 256) -> float:
    """Mean score of the candidates of the first ``most`` prompts; InstructGPT shifts its rewards likewise."""
    return statistics.fmean(value for row in score_prompts(model, prompts[:most], pad_id) for value in row)


def heldout_accuracy(
    model: PreTrainedModel, items: list[RankedPrompt], prompts: list[EncodedPrompt], pad_id: int
) -> float:
    """Pair accuracy on held-out prompts; ties are left out, equal scores count half."""
    return pair_accuracy(items, score_prompts(model, prompts, pad_id))[0]


def world_probes(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int, max_length: int
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
        values = reward_scores(model, rows, int(tokenizer.pad_token_id)).tolist()
        gaps = [values[at] - values[at + 1] for at in range(0, len(values), 2)]
        right = sum(1.0 if gap > 0 else 0.5 if gap == 0 else 0.0 for gap in gaps)
        found[attribute] = {
            "accuracy": right / len(gaps),
            "pairs": len(gaps),
            "mean_gap": statistics.fmean(gaps),
        }
    return found
