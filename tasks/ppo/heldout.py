"""Sampled answers of the learner to held-out prompts: reward, rubric, KL, perplexity, length."""

import math

import torch
from torch import nn

from configs.schema.ppo import PPOConfig
from tasks.heldout import Measurement, rubric_scores
from tasks.ppo.iteration import Roles, sample
from tasks.ppo.learner import Learner
from tasks.ppo.rollout import lay_out, read_all
from tasks.prompt_sets import Prompt
from tasks.randomness import generator


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
        rubric=rubric_scores(config.rubric, asked, texts),
        kl=(own.logp_BT - start.logp_BT).sum(1).tolist(),
    )


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
