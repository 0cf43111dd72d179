"""Killed at any point where it was saved, inside an update or between two, and resumed: the same bytes."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from dying_runs import content
from ppo_parts import Parts

from configs.schema.ppo import PPOConfig
from configs.schema.ppo_parts import AdamConfig, CriticConfig, EmaConfig, KlConfig, PtxConfig, RateConfig
from configs.schema.sources import InstructionSource
from configs.schema.training import CheckpointConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.ppo.train import train_ppo

RATES: dict[str, Any] = {
    "rate": RateConfig(schedule="cosine", warmup_steps=2),
    "value_rate": RateConfig(schedule="linear", warmup_steps=1),
    "kl": KlConfig(beta=0.1, target=2.0, horizon=20),
    "reward_clip": 1.0,
    "iterations": 2,
    "heldout_samples": 1,
    "checkpoint": CheckpointConfig(every=1, keep=100),
    "checkpoint_steps": 1,
}
EVERYTHING: dict[str, dict[str, Any]] = {
    "adapters": {
        "critic": CriticConfig(kind="adapter"),
        "ema": EmaConfig(decay=0.9, release="ema"),
        "ptx": PtxConfig(
            coefficient=2.0, batch=2, source="instructions", instructions=[InstructionSource(path="talk.jsonl")]
        ),
        "adam": AdamConfig(weight_decay=0.01),
    },
    "whole": {
        "method": "full",
        "learning_rate": 0.01,
        "target_kl": 0.02,
        "dual_clip": 3.0,
        "critic": CriticConfig(warmup=1),
        "ema": EmaConfig(decay=0.5),
        "entropy_coefficient": 0.01,
    },
}


@dataclass
class Run:
    config: PPOConfig
    inputs: Inputs
    bytes: dict[str, bytes]
    metrics: dict[str, Any]
    checkpoints: Path


@pytest.fixture(scope="module", params=list(EVERYTHING))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An uninterrupted run that keeps every checkpoint."""
    from ppo_parts import write_parts

    folder = tmp_path_factory.mktemp(request.param)
    parts: Parts = write_parts(folder)
    talk = folder / "talk.jsonl"
    turns = [
        {"messages": [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "the ab"}]} for n in "abc"
    ]
    talk.write_text("".join(json.dumps(turn) + "\n" for turn in turns), encoding="utf-8")
    inputs = Inputs(folders=parts.inputs.folders, sources={**parts.inputs.sources, "talk.jsonl": [talk]})
    config = parts.config(**{**RATES, **EVERYTHING[request.param]})
    out, work = folder / "out", folder / "work"
    out.mkdir()
    work.mkdir()
    metrics = train_ppo(config, inputs, out, Live(work))
    return Run(config, inputs, content(out), metrics, work / "checkpoints")


def _points(run: Run) -> list[Path]:
    return sorted(run.checkpoints.glob("step-*"))


def test_there_is_a_save_point_after_every_step(whole: Run) -> None:
    values = [json.loads((path / "values.json").read_text(encoding="utf-8"))["values"] for path in _points(whole)]
    inside = [(one["iteration"], one["round"]["done"]) for one in values if one["round"]]
    between = [one["iteration"] for one in values if not one["round"]]
    assert between == [1, 2]
    if whole.config.target_kl is None:
        assert inside == [(n, done) for n in range(2) for done in (1, 2, 3)]
    else:
        assert inside[:3] == [(0, 1), (0, 2), (0, 3)], "while the critic alone learns nothing ends the update"
        assert inside[3:] in ([(1, 1)], [(1, 1), (1, 2)]), "the target KL ends the update early"


@pytest.mark.parametrize("number", range(7))
def test_resumed_from_any_save_point_it_ends_with_the_same_bytes(whole: Run, tmp_path: Path, number: int) -> None:
    points = _points(whole)
    if number >= len(points) - 1:
        pytest.skip("the update ended early, there are fewer save points")
    work, out = tmp_path / "work", tmp_path / "out"
    out.mkdir()
    for path in points[: number + 1]:
        shutil.copytree(path, work / "checkpoints" / path.name)
    shutil.copytree(whole.checkpoints.parent / "rollouts", work / "rollouts")  # shards lie beside the checkpoints
    torch.manual_seed(999)  # another process, another state of the global generators
    assert train_ppo(whole.config, whole.inputs, out, Live(work)) == whole.metrics
    assert content(out) == whole.bytes


def test_what_the_run_shows_was_used(whole: Run) -> None:
    rows = [json.loads(line) for line in whole.bytes["training/curve.jsonl"].decode().splitlines()]
    assert len({row["lr"] for row in rows}) == 2
    assert rows[0]["beta"] == 0.1
    assert whole.metrics["beta"] != 0.1
    if whole.config.ptx.coefficient:
        assert all(row["ptx_loss"] > 0 for row in rows)
    if whole.config.target_kl is not None:
        assert rows[1]["skipped"] > 0
        assert "model.safetensors" in whole.bytes
