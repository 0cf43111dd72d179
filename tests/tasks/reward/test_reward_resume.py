"""Killed, stopped, and on two processes: the same model in the end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import two_process_reward
from safetensors.torch import load_file

import tasks.reward.fit as training
from configs.schema.training import CheckpointConfig
from tasks.failures import LostWorker

Run = Callable[..., tuple[dict[str, Any], Path]]


def kill_at(monkeypatch: pytest.MonkeyPatch, count: int) -> Callable[[], None]:
    """Die before the given step of this process, counted over all trainings; returns what undoes it."""
    step, done = training._step, 0

    def killed(*args: Any) -> dict[str, float]:
        nonlocal done
        done += 1
        if done == count:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(training, "_step", killed)
    return lambda: monkeypatch.setattr(training, "_step", step)


def assert_same_bytes(one: Path, other: Path) -> None:
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    for name in files:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
        assert str(one.parent).encode() not in (one / name).read_bytes()


CASES: list[tuple[dict[str, Any], int, int]] = [
    ({"epochs": 2}, 12, 9),
    ({"method": "lora", "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.2}, "epochs": 1}, 5, 3),
    # Six steps a member: killed in the second, whose first three steps are saved
    ({"method": "lora", "members": 2, "ensemble": "seeds", "epochs": 1}, 11, 9),
]


@pytest.mark.parametrize(("settings", "dies_at", "goes_on_at"), CASES)
def test_same_seed_same_bytes_after_a_kill(
    run: Run, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], dies_at: int, goes_on_at: int
) -> None:
    _, whole = run("whole", "work-whole", **settings)
    undo = kill_at(monkeypatch, dies_at)
    with pytest.raises(KeyboardInterrupt):
        run("cut", "work-cut", **settings)
    undo()
    _, resumed = run("resumed", "work-cut", **settings)
    events = [json.loads(line) for line in (resumed.parent / "work-cut/events.jsonl").read_text().splitlines()]
    starts = [event["done"] for event in events if event["event"] == "start_at"]
    assert goes_on_at in starts
    assert_same_bytes(whole, resumed)


@pytest.mark.parametrize("asked", [2, 6])
def test_asked_to_stop_it_saves_and_goes_on_to_the_bit(run: Run, monkeypatch: pytest.MonkeyPatch, asked: int) -> None:
    settings = {"checkpoint": CheckpointConfig(every=100), "epochs": 1}
    _, whole = run("whole", "work-whole", **settings)
    step, done = training._step, 0

    def stopped(*args: Any) -> dict[str, float]:
        nonlocal done
        done += 1
        if done == asked:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(*args)

    monkeypatch.setattr(training, "_step", stopped)
    with pytest.raises(LostWorker, match=f"step {asked} is saved"):
        run("cut", "work-cut", **settings)
    monkeypatch.setattr(training, "_step", step)
    _, resumed = run("resumed", "work-cut", **settings)
    assert_same_bytes(whole, resumed)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path, folders: dict[str, Path]) -> None:
    """47 of 48 prompts, then one: unequal shards, then an empty one."""
    job = Path(two_process_reward.__file__)
    given = [str(folders[name]) for name in ("base", "finetuned", "rankings")]
    two_process_reward.main(tmp_path, "one", *given)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0"]
    command += ["--rdzv_backend=c10d", "--rdzv_endpoint=127.0.0.1:0", str(job), str(tmp_path), "two", *given]
    paths = os.pathsep.join([str(job.parents[3]), str(job.parents[2]), str(job.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert (one["processes"], two["processes"]) == (1, 2)
    for first, second in zip(one["loss"], two["loss"], strict=True):
        assert second == pytest.approx(first, abs=1e-5)
    weights = [load_file(tmp_path / name / "head.safetensors")["score"] for name in ("one", "two")]
    assert float((weights[0] - weights[1]).abs().max()) < 1e-4
