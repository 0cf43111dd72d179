"""The guard: signals worked by hand, a gamed reward that is stopped, the best policy, resume to the bit."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hackable import share_of_a
from ppo_parts import Parts, digests, folder, letter_tokenizer, tiny_llama
from safetensors.torch import load_file
from test_ppo_stage import DyingLive, Killed

from configs.schema.guard import GuardConfig
from configs.schema.ppo import KlConfig
from configs.schema.rollout import TableConfig
from configs.schema.training import CheckpointConfig
from tasks.failures import BadConfig
from tasks.live import Live
from tasks.ppo.guard import Guard, Sampled, Yardstick
from tasks.ppo.iteration import Roles, iterate
from tasks.ppo.learner import Learner
from tasks.ppo.processes import Processes
from tasks.ppo.signals import heldout_signals, repeated_share, rollout_signals
from tasks.ppo.train import train_ppo
from tasks.ppo.trainer import PPOTrainer, Training
from tasks.ppo.watch import make_guard
from tasks.prompt_sets import Prompt
from tasks.rewards import Rewards, function_term, import_function

START = {"kl": 0.0, "length": 20.0, "repetition": 0.1, "entropy": 2.0, "ended": 0.9}
LIMIT = 0.5


def _hackable(parts: Parts, processes: Processes, seed: int, **guard: Any) -> tuple[Roles, Learner]:
    """Sixteen tokens, prompts of one letter, paid for a alone; the held-out reward asks for variety."""
    config = parts.config(
        batch=32,
        minibatch=32,
        epochs=1,
        iterations=40,
        learning_rate=1e-2,
        missing_eos_penalty=0.0,
        heldout_samples=4,
        kl=KlConfig(beta=0.01),
        seed=seed,
        guard=GuardConfig(function="hackable:variety", reward_drop=LIMIT, length=None, **{"every": 2, **guard}),
    )
    prompts = [Prompt(letter, [2, 4 + number]) for number, letter in enumerate("abcdefghijkl")]
    rewards = Rewards([function_term(import_function("hackable:share_of_a", ""))])
    roles = Roles(config, processes, letter_tokenizer(), prompts[:8], rewards)
    learner = Learner.create(config, tiny_llama(16, seed).requires_grad_(False))
    learner.guard = make_guard(roles, learner, prompts[8:])
    learner.guard.begin()
    return roles, learner


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_gamed_reward_is_stopped_within_five_updates_past_the_limit(
    parts: Parts, processes: Processes, seed: int
) -> None:
    """Row 28: the proxy rises while the held-out reward falls. It is measured after every update, beside the guard."""
    roles, learner = _hackable(parts, processes, seed, act="stop", entropy=None, repetition=None)
    guard = learner.guard
    assert guard is not None
    assert guard.yardstick is not None
    deviation, best, passed, rows = guard.heldout["gold_std"], guard.best, 0, []
    while not guard.stopped:
        row = iterate(roles, learner)
        assert row is not None
        rows.append(row)
        gold = guard.yardstick()["gold"]
        best = max(best, gold)
        passed = passed or ((best - gold) / deviation >= LIMIT and len(rows))
        guard.after(row)
        assert len(rows) < 40
    assert rows[-1]["reward"] > rows[0]["reward"] + 0.2
    assert gold < guard.heldout["gold"]
    assert 0 < passed <= len(rows) <= passed + 5
    assert "held-out reward" in guard.stopped
    assert "ppo.guard.reward_drop=0.5" in guard.stopped
    assert guard.rows[-1]["state"] == "stop"
    assert guard.rows[-1]["roll_back_to"] < passed
    assert guard.rows[0]["state"] == "ok"


def test_the_training_loop_ends_there_and_the_best_policy_can_be_taken(parts: Parts, processes: Processes) -> None:
    roles, learner = _hackable(parts, processes, 0, act="stop", select="best", kl=3.0, every=1)
    Training(roles, learner, None, lambda row, pace: None).run()
    guard = learner.guard
    assert guard is not None
    assert guard.yardstick is not None
    assert learner.stopped == guard.stopped != ""
    assert learner.iteration == len(learner.curve) == len(guard.rows) < 40
    at = guard.selected["iteration"]
    assert guard.rows[-1]["roll_back_to"] == at < learner.iteration
    last = guard.yardstick()
    guard.take_best()
    learner.policy.refresh()
    best = guard.yardstick()
    assert best["gold"] == pytest.approx(guard.selected["gold"])
    assert best["gold"] > last["gold"]
    assert best["heldout_kl"] <= 3.0
    metrics = guard.metrics(learner.iteration)
    assert metrics["selected_iteration"] == at
    assert metrics["selected_why"].startswith(f"iteration {at}: the best held-out reward")
    assert metrics["guard"] == "stop"


def test_only_watching_lets_the_run_go_on(parts: Parts, processes: Processes) -> None:
    roles, learner = _hackable(parts, processes, 0, kl=1e-6)
    roles = Roles(roles.config.model_copy(update={"iterations": 3}), *_rest(roles))
    Training(roles, learner, None, lambda row, pace: None).run()
    assert learner.guard is not None
    assert [row["state"] for row in learner.guard.rows] == ["ok", "stop", "stop"]
    assert learner.stopped == ""
    assert learner.iteration == 3


def _rest(roles: Roles) -> tuple[Any, ...]:
    return roles.processes, roles.tokenizer, roles.prompts, roles.rewards


def test_signals_hand_worked() -> None:
    now = {"kl": 6.0, "length": 10.0, "repetition": 0.2, "entropy": 0.5, "ended": 0.8}
    signals = {one.name: one for one in rollout_signals(GuardConfig(kl=8.0), START, now)}
    levels = {name: one.level for name, one in signals.items()}
    assert levels == pytest.approx(
        {"kl": 0.75, "length": 1.0, "repetition": 0.5, "entropy": 1.0, "truncated": 0.5}, abs=1e-12
    )
    assert signals["truncated"].text == "answers that do not end 10% → 20%, ppo.guard.truncated=0.2"
    held = heldout_signals(
        GuardConfig(), {"gold": 1.0, "gold_std": 2.0, "disagreement": 0.4}, 3.0, {"gold": 2.5, "disagreement": 0.6}
    )
    assert {one.name: one.level for one in held} == pytest.approx({"reward_drop": 0.5, "disagreement": 0.5})
    off = {"kl": None, "length": None, "repetition": None, "entropy": None, "truncated": None}
    assert rollout_signals(GuardConfig(**off), START, now) == []


def test_repeated_share_hand_worked() -> None:
    assert repeated_share([1, 2, 3, 1, 2, 3]) == pytest.approx(1 / 4)  # 123 231 312 123
    assert repeated_share([7] * 10) == pytest.approx(7 / 8)
    assert repeated_share([1, 2]) == 0.0


def _row(step: int, **changes: float) -> dict[str, float]:
    return {"step": step, **START, **changes}


def test_states_reasons_and_where_to_go_back_to() -> None:
    guard = Guard(GuardConfig(kl=10.0, act="stop"), dict)
    states = [guard.after(_row(step, kl=kl)) for step, kl in enumerate((0.0, 4.9, 5.0, 9.9, 10.0), 1)]
    assert [state["state"] for state in states] == ["ok", "ok", "warn", "warn", "stop"]
    assert states[2]["reason"] == "KL 5.000 nats an answer, ppo.guard.kl=10.0"
    assert [state["roll_back_to"] for state in states] == [0, 1, 2, 2, 2]
    assert guard.stopped.endswith("after 5 iterations; roll back to iteration 2")
    metrics = guard.metrics(5)
    assert (metrics["guard"], metrics["guard_step"], metrics["guard_warnings"]) == ("stop", 5, 3)
    assert metrics["selected_iteration"] == 5


def _measured(values: list[float], kls: list[float], spreads: list[float]) -> Guard:
    """A guard whose measurements are given; its policy is one number, that of the measurement."""
    at, tensor = iter(range(len(values))), torch.zeros(1)

    def sample() -> Sampled:
        number = next(at)
        tensor.fill_(number)
        texts = [f"{values[number]} {spreads[number]}"] * 2
        return Sampled([Prompt("p", [1])] * 2, texts, [[1, 2, 3]] * 2, [kls[number]] * 2, [0.0, 0.0])

    def column(which: int) -> Any:
        return lambda prompts, texts: torch.tensor([float(text.split()[which]) + n for n, text in enumerate(texts)])

    guard = Guard(
        GuardConfig(every=1, kl=4.0, select="best", reward_drop=4.0, disagreement=1.0),
        lambda: {"w": tensor},
        Yardstick(sample, column(0), column(1)),
    )
    guard.begin()
    return guard


def test_the_best_inside_the_budget_is_kept() -> None:
    guard = _measured([0.0, 1.0, 3.0, 2.0], kls=[0, 1, 5, 3], spreads=[1.0] * 4)
    for step in (1, 2, 3):
        guard.after(_row(step))
    assert guard.heldout["gold"] == pytest.approx(0.5)
    assert guard.selected == {"iteration": 3, "gold": pytest.approx(2.5), "kl": 3.0}  # 3.5 was outside the budget
    assert guard.kept["w"].item() == 3.0
    assert "inside the KL budget of 4.0 nats" in guard.why()
    again = Guard(guard.config, guard.policy)
    again.restore(json.loads(json.dumps(guard.values())), guard.kept)
    assert (again.best, again.selected, again.rows) == (guard.best, guard.selected, guard.rows)


def test_members_that_disagree_stop_the_run() -> None:
    guard = _measured([0.0, 1.0, 2.0], kls=[0, 1, 1], spreads=[0.5, 1.0, 1.5])
    states = [guard.after(_row(step)) for step in (1, 2)]
    assert [state["state"] for state in states] == ["warn", "stop"]
    assert "disagreement of the reward model's members 1.000 → 2.000" in states[1]["reason"]
    assert guard.selected["iteration"] == 1


def test_settings_that_do_not_fit_are_refused(parts: Parts) -> None:
    with pytest.raises(ValueError, match=r"ppo\.guard\.every is empty"):
        GuardConfig(select="best")
    with pytest.raises(ValueError, match="give one of them"):
        GuardConfig(every=1, function="a:b", model="c")
    with pytest.raises(ValueError, match=r"ppo\.ema\.release=ema"):
        parts.config(guard={"every": 1, "select": "best"}, ema={"decay": 0.9, "release": "ema"})


@pytest.mark.parametrize(("select", "dies_at"), [("last", 3), ("best", 2)])
def test_killed_and_resumed_guard_is_uninterrupted(parts: Parts, tmp_path: Path, select: str, dies_at: int) -> None:
    """Guard rows, kept policy and shards of sampled answers: the same bytes in the end."""
    config = parts.config(
        learning_rate=0.05,
        guard={"every": 1, "function": "hackable:length", "select": select, "reward_drop": 50.0},
        table=TableConfig(every=2),
        checkpoint=CheckpointConfig(every=2),
    )
    whole, again = folder(tmp_path / "whole"), folder(tmp_path / "again")
    uninterrupted = train_ppo(config, parts.inputs, whole, Live(folder(tmp_path / "work1")))
    work = folder(tmp_path / "work2")
    with pytest.raises(Killed):
        train_ppo(config, parts.inputs, folder(tmp_path / "lost"), DyingLive(work, dies_at=dies_at))
    resumed = train_ppo(config, parts.inputs, again, Live(work))
    assert resumed == uninterrupted
    assert digests(again) == digests(whole)
    assert [json.loads(line)["step"] for line in (whole / "guard.jsonl").read_text().splitlines()] == [1, 2, 3, 4]
    assert sorted(path.name for path in (whole / "rollouts").iterdir()) == [
        "iteration-000001-000.parquet",
        "iteration-000003-000.parquet",
    ]
    assert (whole / "best").exists() == (select == "last")
    if select == "last":
        weights = load_file(whole / "best" / "adapter_model.safetensors")
        assert set(weights) == set(load_file(whole / "adapter_model.safetensors"))
    assert resumed["selected_iteration"] <= 4
    assert math.isfinite(resumed["reward"])


def test_the_library_is_guarded_too() -> None:
    rows = [{"prompt": letter} for letter in "abcdefgh"]
    settings = {"iterations": 2, "batch": 4, "minibatch": 4, "max_new_tokens": 6, "guard": {"every": 1}}
    model, tokenizer = tiny_llama(16).requires_grad_(False), letter_tokenizer()
    trainer = PPOTrainer(model, share_of_a, settings, rows, rows[:2], tokenizer, log=lambda row: None)
    trainer.train()
    assert [row["step"] for row in trainer.guard.rows] == [1, 2]
    assert trainer.guard.selected["iteration"] in (0, 1, 2)
    with pytest.raises(BadConfig, match="eval_dataset"):
        PPOTrainer(tiny_llama(16).requires_grad_(False), share_of_a, settings, rows, None, tokenizer)
