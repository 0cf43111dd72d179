"""Cancel from the UI or by Ctrl-C: every training process ends within ten seconds, with a checkpoint."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest
from prefect.states import Cancelling
from service import ROOT, Service, contended, processes_of, wait_until

from tasks.checkpoint import load_checkpoint

pytestmark = pytest.mark.orchestration

LIMIT = 10.0  # seconds
# Hours of training, and no checkpoint that is due: what is found was saved because of the signal
LONG = ["pretrain.steps=1000000", "pretrain.checkpoint.every=1000000"]


def training_step(home: Path) -> int:
    """Steps that pretraining has reported."""
    reported = [path.read_text(encoding="utf-8") for path in home.rglob("events.jsonl")]
    return max((text.count('"progress"') for text in reported if '"steps"' in text), default=0)


def saved_step(home: Path) -> int:
    found = [load_checkpoint(folder) for folder in home.rglob("checkpoints")]
    return max((checkpoint.step for checkpoint in found if checkpoint), default=0)


def start_training(worker: Service, seed: int = 0) -> UUID:
    """A run in the middle of pretraining; another seed trains in another working folder."""
    for old in worker.home.rglob("events.jsonl"):
        old.unlink()
    worker.deploy("align", "flows/align.py:align")
    run = worker.start_run("align", {"recipe": "nano", "overrides": [*LONG, f"pretrain.seed={seed}"]})
    worker.wait_for(run, "Running", seconds=120)
    wait_until(lambda: training_step(worker.home) > 2, 300, "the third step of pretraining")
    return run


def test_a_cancelled_run_saves_and_is_gone_in_ten_seconds(worker: Service) -> None:
    run = start_training(worker)
    assert worker.processes("tasks.child")
    begin = time.monotonic()
    worker.client.set_flow_run_state(run, Cancelling())
    wait_until(lambda: not worker.processes("tasks.child"), contended(LIMIT), "the end of all training processes")
    print(f"cancelled after {time.monotonic() - begin:.1f} s")
    worker.wait_for(run, "Cancelled", seconds=contended(40))
    assert saved_step(worker.home) > 2
    record = worker.record(run)
    assert record is not None
    assert record["state"] == "Cancelled"
    assert {row["name"]: row["state"] for row in record["stages"]}["pretrain"] == "Cancelled"
    assert not worker.processes("supervisor.py")


def test_a_worker_that_lost_the_server_for_a_while_is_not_needed_to_cancel(worker: Service) -> None:
    """Half a minute without a server, and a process worker never looks for cancelled runs again."""
    run = start_training(worker, seed=1)
    worker.kill_server()
    time.sleep(45)
    worker.start_server()
    time.sleep(10)
    begin = time.monotonic()
    worker.client.set_flow_run_state(run, Cancelling())
    wait_until(lambda: not worker.processes("tasks.child"), contended(LIMIT), "the end of all training processes")
    print(f"cancelled after {time.monotonic() - begin:.1f} s")
    worker.wait_for(run, "Cancelled", seconds=contended(40))
    time.sleep(5)
    assert worker.read(run).state_name == "Cancelled"
    record = worker.record(run)
    assert record is not None
    assert record["state"] == "Cancelled"


def test_ctrl_c_saves_and_is_gone_in_ten_seconds(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = {"PLUMBLINE_HOME": str(home), "PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(ROOT)}
    changes = [word for change in LONG for word in ("--set", change)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import main; main()", "run", "nano", *changes],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    wait_until(lambda: training_step(home) > 2, 300, "the third step of pretraining")
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    wait_until(lambda: saved_step(home), contended(LIMIT), "a checkpoint")
    output, _ = process.communicate(timeout=60)
    print(f"stopped after {time.monotonic() - begin:.1f} s")
    assert process.returncode == 130
    assert "the same command goes on from here" in output
    assert '"state": "Cancelled"' in next((home / "runs").glob("*.json")).read_text(encoding="utf-8")
    assert not processes_of(home)
