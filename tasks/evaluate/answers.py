"""What one model answers to the held-out prompts, and how good the answers are."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.evaluate import EvaluateConfig
from tasks.answers import check, greedy_answers, words
from tasks.chat import load_tokenizer, user
from tasks.failures import BadConfig
from tasks.scoring import encode_answer, load_reward, reward_scores


class Judge:
    """The reward model with its own tokenizer and template."""

    def __init__(self, folders: Mapping[str, Path], device: torch.device) -> None:
        """``folders``: of ``reward``, and of ``base`` and ``finetuned``, which it may be an adapter of."""
        folder = folders["reward"]
        self.model = load_reward(folder, base=folders.get("base"), finetuned=folders.get("finetuned")).to(device)
        self.tokenizer = load_tokenizer(folder)

    def scores(self, prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        """Reward of each answer; a conversation longer than in its training is cut at the left."""
        pairs = zip(prompts, answers, strict=True)
        limit = self.model.max_length
        rows = [encode_answer(self.tokenizer, user(prompt), answer, limit) for prompt, answer in pairs]
        values: list[float] = reward_scores(self.model, rows, int(self.tokenizer.pad_token_id)).tolist()
        return values


def answer_rows(
    config: EvaluateConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str],
    judge: Judge,
) -> list[dict[str, Any]]:
    """Greedy answers with their marks: prompt, answer, ended, tokens, follows, reward and, if asked for, rubric."""
    rows = greedy_answers(model, tokenizer, prompts, config.max_new_tokens)
    rewards = judge.scores(prompts, [row["answer"] for row in rows])
    for row, reward in zip(rows, rewards, strict=True):
        row["follows"] = check(config.checker, row["prompt"], row["answer"], row["ended"])
        row["reward"] = reward
        if config.rubric == "world":
            row["rubric"] = _rubric(row["prompt"], row["answer"])
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the rows: following, reward and its standard deviation, length in tokens, share ended, distinct-2."""
    rewards = [row["reward"] for row in rows]
    found = {
        "instruction_following": statistics.fmean(row["follows"] for row in rows),
        "reward": statistics.fmean(rewards),
        "reward_std": statistics.pstdev(rewards),
        "length": statistics.fmean(row["tokens"] for row in rows),
        "ended": statistics.fmean(row["ended"] for row in rows),
        "distinct_2": distinct_2([row["answer"] for row in rows]),
    }
    if "rubric" in rows[0]:
        found["rubric"] = statistics.fmean(row["rubric"] for row in rows)
    return found


def distinct_2(answers: list[str]) -> float:
    """Different bigrams of words over all bigrams, all answers together (Li et al. 2016); 0 without a bigram."""
    bigrams: Counter[tuple[str, str]] = Counter()
    for answer in answers:
        said = words(answer)
        bigrams.update(pairwise(said))
    return len(bigrams) / bigrams.total() if bigrams else 0.0


def win_rate(challenger: list[dict[str, Any]], incumbent: list[dict[str, Any]]) -> float:
    """Share of prompts on which the challenger's answer has the higher reward; equal rewards count half."""
    gaps = [new["reward"] - old["reward"] for new, old in zip(challenger, incumbent, strict=True)]
    return statistics.fmean(1.0 if gap > 0 else 0.5 if gap == 0 else 0.0 for gap in gaps)


def _rubric(prompt: str, answer: str) -> float:
    from tasks.world.rubric import score  # only the small world needs it

    try:
        return score(prompt, answer)
    except ValueError as error:
        raise BadConfig(f"evaluate.rubric: world, but a prompt is {error}; set `rubric: none`") from error
