"""What a reward model gives: scores of ranked prompts, accuracy on them, constants, minimal pairs by attribute."""

import statistics
from dataclasses import replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from configs.schema.reward import RewardConfig
from tasks.chat import user
from tasks.rankings import RankedPrompt, pair_accuracy
from tasks.reward.batches import EncodedPrompt
from tasks.reward.judgement import Scores
from tasks.reward_network import AnyReward, Reading
from tasks.scoring import Conversation, all_scores, encode_answer, reward_scores


def score_members(model: AnyReward, prompts: list[EncodedPrompt], pad_id: int) -> Scores:
    """Every member's scores of the candidates of each prompt."""
    flat = iter(all_scores(model, [row for prompt in prompts for row in prompt.rows], pad_id).tolist())
    return [[next(flat) for _ in prompt.rows] for prompt in prompts]


def score_prompts(model: AnyReward, prompts: list[EncodedPrompt], pad_id: int) -> list[list[float]]:
    """Scores of the candidates of each prompt."""
    flat = iter(reward_scores(model, [row for prompt in prompts for row in prompt.rows], pad_id).tolist())
    return [[next(flat) for _ in prompt.rows] for prompt in prompts]


def heldout_accuracy(model: AnyReward, items: list[RankedPrompt], prompts: list[EncodedPrompt], pad_id: int) -> float:
    """Pair accuracy on held-out prompts; ties are left out, equal scores count half."""
    return pair_accuracy(items, score_prompts(model, prompts, pad_id))[0]


def normalised(config: RewardConfig, model: AnyReward, prompts: list[EncodedPrompt], pad_id: int) -> Reading:
    """The model's reading with the mean and deviation of each member on the reference answers.

    InstructGPT (Ouyang et al. 2022, section 3.5) shifts the reward so that demonstrations average 0: gaps alone are
    learnt, and the level is open. A deviation of 0 scales nothing.
    """
    if config.normalise == "none":
        return model.reading
    rows = [row for prompt in prompts[: config.reference_prompts] for row in _references(config, prompt)]
    members = list(zip(*all_scores(model, rows, pad_id).tolist(), strict=True))
    mean = tuple(statistics.fmean(values) for values in members)
    std = (1.0,) * len(members)
    if config.normalise == "standard":
        std = tuple(statistics.pstdev(values) or 1.0 for values in members)
    return replace(
        model.reading, normalise=config.normalise, reference=config.reference, mean=mean, std=std, count=len(rows)
    )


def _references(config: RewardConfig, prompt: EncodedPrompt) -> list[Conversation]:
    """Candidates that an annotator put first, or all of them."""
    if config.reference == "candidates":
        return prompt.rows
    best: set[int] = set()
    for ranking in prompt.rankings:
        first = min((rank for rank in ranking.ranks if rank), default=0)
        best |= {number for number, rank in enumerate(ranking.ranks) if rank and rank == first}
    return [row for number, row in enumerate(prompt.rows) if number in best]


def world_probes(
    model: AnyReward, tokenizer: PreTrainedTokenizerBase, seed: int, max_length: int
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
