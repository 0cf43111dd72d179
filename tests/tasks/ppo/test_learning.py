"""PPO learns a reward that a program gives: the share of one token."""

from collections.abc import Callable

import pytest
import torch
from ppo_parts import Parts, tiny_llama
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from configs.schema.ppo_parts import CriticConfig, KlConfig, RateConfig
from tasks.chat import SPECIAL_TOKENS
from tasks.ppo.iteration import Roles, iterate
from tasks.ppo.learner import Learner
from tasks.ppo.processes import Processes
from tasks.prompt_sets import Prompt
from tasks.rewards import Rewards, Term

LETTERS = "abcdefghijkl"


def _letters() -> PreTrainedTokenizerFast:
    """Sixteen tokens: ours, and one a letter."""
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *LETTERS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="l"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|endoftext|>")


def paid(score: Callable[[list[Prompt], list[str]], Tensor]) -> Rewards:
    return Rewards([Term("share", 1.0, score)])


def share_of_a(prompts: list[Prompt], answers: list[str]) -> Tensor:
    """Share of the letter a among the tokens of each answer, 0 for an empty one."""
    words = [answer.split() for answer in answers]
    return torch.tensor([answer.count("a") / max(len(answer), 1) for answer in words])


def _train(
    parts: Parts,
    processes: Processes,
    score: Callable[[list[Prompt], list[str]], Tensor],
    seed: int,
    iterations: int,
    **changes: object,
) -> list[dict[str, float]]:
    settings: dict[str, object] = {
        "iterations": iterations,
        "batch": 32,
        "minibatch": 32,
        "epochs": 1,
        "learning_rate": 1e-2,
        "missing_eos_penalty": 0.0,
        "kl": KlConfig(beta=0.01),
        "seed": seed,
    }
    config = parts.config(**{**settings, **changes})
    prompts = [Prompt(letter, [2, 4 + number]) for number, letter in enumerate(LETTERS)]
    roles = Roles(config, processes, _letters(), prompts, paid(score))
    learner = Learner.create(config, tiny_llama(16, seed).requires_grad_(False))
    rows = []
    for _ in range(iterations):
        row = iterate(roles, learner)
        assert row is not None
        rows.append(row)
    return rows


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_reward_rises(parts: Parts, processes: Processes, seed: int) -> None:
    rows = _train(parts, processes, share_of_a, seed, 20)
    assert rows[-1]["reward"] - rows[0]["reward"] >= 0.5
    assert rows[0]["kl"] == 0.0
    assert rows[-1]["kl"] > 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"critic": CriticConfig(kind="adapter"), "value_learning_rate": 1e-2},
        {"method": "full", "learning_rate": 3e-3},
        {"dual_clip": 3.0, "target_kl": 0.5, "rate": RateConfig(schedule="cosine", warmup_steps=2), "epochs": 2},
    ],
)
def test_the_reward_rises_with_other_roles_and_settings(
    parts: Parts, processes: Processes, changes: dict[str, object]
) -> None:
    rows = _train(parts, processes, share_of_a, 0, 20, **changes)
    assert rows[-1]["reward"] - rows[0]["reward"] >= 0.5


def test_the_negated_reward_makes_the_share_fall(parts: Parts, processes: Processes) -> None:
    rows = _train(parts, processes, lambda p, a: -share_of_a(p, a), 0, 12)
    start = sum(row["reward"] for row in rows[:3]) / 3
    assert start < -0.03
    assert sum(row["reward"] for row in rows[-3:]) / 3 > start / 3


def test_a_large_beta_holds_the_policy(parts: Parts, processes: Processes) -> None:
    rows = _train(parts, processes, share_of_a, 0, 15, kl=KlConfig(beta=50.0), learning_rate=1e-3)
    assert max(abs(row["kl"]) for row in rows) < 0.05


def test_adaptive_beta_moves_towards_the_target(parts: Parts, processes: Processes) -> None:
    rows = _train(parts, processes, share_of_a, 0, 5, kl=KlConfig(beta=0.1, target=100.0, horizon=100))
    betas = [row["beta"] for row in rows]
    assert betas == pytest.approx([0.1 * (1 - 0.2 * 32 / 100) ** n for n in range(5)], abs=1e-6)


def test_the_kl_limit_stops_a_hackable_reward_within_one_iteration(parts: Parts, processes: Processes) -> None:
    config = parts.config(
        batch=32,
        minibatch=32,
        epochs=1,
        learning_rate=1e-2,
        missing_eos_penalty=0.0,
        kl=KlConfig(beta=0.0, limit=0.5),
    )
    prompts = [Prompt("a", [2, 4])]
    learner = Learner.create(config, tiny_llama(16).requires_grad_(False))
    roles = Roles(config, processes, _letters(), prompts, paid(share_of_a))
    kls = []
    while (row := iterate(roles, learner)) is not None:
        kls.append(row["kl"])
        assert len(kls) < 60
    assert max(kls) <= 0.5
    assert "exceeds ppo.kl.limit=0.5" in learner.stopped
    assert learner.iteration == len(kls)


def test_clips_are_counted(parts: Parts, processes: Processes) -> None:
    rows = _train(parts, processes, share_of_a, 0, 2, reward_clip=0.1, clip=1e-4, value_clip=1e-4, epochs=4)
    assert all(0 < rows[-1][f"{name}clip_fraction"] <= 1 for name in ("", "value_", "reward_"))
