"""Sampled answers to held-out prompts before and after training: reward, rubric, KL, perplexity, length."""

import math
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any

import torch
from torch import nn

from configs.schema.ppo import PPOConfig
from tasks.ppo.iteration import Roles, sample
from tasks.ppo.learner import Learner
from tasks.ppo.prompts import Prompt
from tasks.ppo.randomness import generator
from tasks.ppo.rollout import lay_out, read_all

SHOWN = 12  # prompts in samples.jsonl


@dataclass(frozen=True)
class Measurement:
    """One entry an answer; ``heldout_samples`` answers a prompt, next to each other. Plain JSON values."""

    answers: list[str]
    ids: list[list[int]]
    ended: list[bool]
    score: list[float]  # raw, as the reward model gives it
    rubric: list[float]  # empty without a rubric
    kl: list[float]  # nats of the whole answer, one sample's estimate

    def plain(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)


def measure(roles: Roles, learner: Learner, heldout: list[Prompt]) -> Measurement:
    """Sample with the same random numbers every time, so that before and after differ by the policy alone.

    Every process measures everything: nothing has to be gathered, and none waits for another.
    """
    config = roles.config
    assert config.seed is not None
    prompts = [prompt for prompt in heldout for _ in range(config.heldout_samples)]
    rng = generator(config.seed, "heldout", device=roles.processes.device)
    answers, ended_B, texts = sample(roles, learner, prompts, rng)
    size = config.micro_batch or config.minibatch
    own = read_all(learner.policy.adapted, answers, config.temperature, size)
    with learner.policy.reference() as reference:
        start = read_all(reference, answers, config.temperature, size)
    asked = [prompt.text for prompt in prompts]
    first, lengths = answers.prompt_width, answers.length_B.tolist()
    return Measurement(
        answers=texts,
        ids=[row[first : first + length] for row, length in zip(answers.ids_BL.tolist(), lengths, strict=True)],
        ended=ended_B.tolist(),
        score=roles.rewards(prompts, texts).total_B.tolist(),
        rubric=_rubric(config, asked, texts),
        kl=(own.logp_BT - start.logp_BT).sum(1).tolist(),
    )


def _rubric(config: PPOConfig, prompts: list[str], answers: list[str]) -> list[float]:
    if config.rubric == "none":
        return []
    from tasks.world.rubric import score  # only the small world needs it

    return [float(score(prompt, answer)) for prompt, answer in zip(prompts, answers, strict=True)]


def answer_perplexity(
    model: nn.Module, config: PPOConfig, heldout: list[Prompt], found: Measurement, pad_id: int, device: torch.device
) -> float:
    """Perplexity a token of the answers under the base model, at temperature 1, given their prompts.

    It says how far the answers have left the language that the base was trained on.
    """
    prompts = [prompt.ids for prompt in heldout for _ in range(config.heldout_samples)]
    answers = lay_out(prompts, found.ids, pad_id, device)
    logp_BT = read_all(model, answers, 1.0, config.micro_batch or config.minibatch).logp_BT
    return math.exp(-float(logp_BT.double().sum()) / max(int(answers.length_B.sum()), 1))


def metrics_of(start: Measurement, end: Measurement) -> dict[str, Any]:
    """The metrics that the stage reports, and what looks like over-optimisation in them."""
    values: dict[str, Any] = {
        "reward_start": fmean(start.score),
        "reward": fmean(end.score),
        "reward_start_std": pstdev(start.score),
        "kl": fmean(end.kl),
        "length_start": fmean(len(ids) for ids in start.ids),
        "length": fmean(len(ids) for ids in end.ids),
        "ended_start": fmean(start.ended),
        "ended": fmean(end.ended),
    }
    if start.rubric:
        values |= {"rubric_start": fmean(start.rubric), "rubric": fmean(end.rubric)}
    return {**values, "flags": _flags(values)}


def _flags(values: dict[str, Any]) -> list[str]:
    """Signs that the policy learned the reward model and not the task (Gao et al. 2022)."""
    flags = []
    if "rubric" in values and values["reward"] > values["reward_start"] and values["rubric"] < values["rubric_start"]:
        flags.append(f"reward rose while the rubric fell from {values['rubric_start']:.2f} to {values['rubric']:.2f}")
    if not 2 / 3 < values["length"] / max(values["length_start"], 1e-9) < 3 / 2:
        flags.append(f"mean length went from {values['length_start']:.0f} to {values['length']:.0f} tokens")
    if values["ended"] < values["ended_start"] - 0.1:
        flags.append(f"the share of answers that end fell from {values['ended_start']:.0%} to {values['ended']:.0%}")
    return flags


def sample_rows(config: PPOConfig, heldout: list[Prompt], start: Measurement, end: Measurement) -> list[dict[str, Any]]:
    """The first answer to some of the prompts, before and after, with their raw rewards."""
    rows = []
    for number, prompt in enumerate(heldout[:SHOWN]):
        at = number * config.heldout_samples
        row: dict[str, Any] = {"prompt": prompt.text}
        for name, found in (("start", start), ("aligned", end)):
            row[name] = found.answers[at]
            row[f"{name}_reward"] = round(found.score[at], 4)
            row[f"{name}_ended"] = found.ended[at]
        rows.append(row)
    return rows
