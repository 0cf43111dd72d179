"""`plumbline cancel` of a run that a worker drives, and `plumbline rerun` of a cancelled run."""

import subprocess
import sys
from pathlib import Path

import pytest
from service import ROOT, Service, wait_until

pytestmark = pytest.mark.orchestration


def plumbline(service: Service, *arguments: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
    return subprocess.run(
        command, env=service.environment, capture_output=True, text=True, check=False, timeout=seconds
    )


def test_cancel_asks_the_server_when_a_worker_drives_the_run(worker: Service) -> None:
    worker.deploy("count", "tests/orchestration/toy_flow.py:count")
    flow_run = worker.start_run("count", {"name": "cancelled", "steps": 3000})
    wait_until(lambda: worker.processes("tasks.child"), 180, "training")
    done = plumbline(worker, "cancel")
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"\n{done.stdout}")
    assert "training ended after" in done.stdout
    assert not worker.processes("tasks.child")
    worker.wait_for(flow_run, "Cancelled", seconds=30)
    record = worker.record(flow_run)
    assert record is not None
    assert record["state"] == "Cancelled"
    again = plumbline(worker, "cancel", record["run"])
    assert again.returncode == 1
    assert "is Cancelled, there is nothing to cancel" in again.stderr


def test_rerun_runs_the_record_although_the_recipe_is_gone(service: Service, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    text = (ROOT / "configs" / "recipes" / "nano.yaml").read_text(encoding="utf-8")
    recipe.write_text(text.replace("name: nano", "name: mine"), encoding="utf-8")
    first = plumbline(service, "run", str(recipe), "--set", "corpus.sources.0.path=world:nowhere.jsonl")
    assert first.returncode == 1, first.stdout + first.stderr
    recipe.unlink()
    second = plumbline(service, "rerun", "mine", "--set", "corpus.sources.0.path=world:documents.jsonl")
    assert second.returncode == 0, second.stdout + second.stderr
    states = {line.split()[0]: line.split()[1] for line in second.stdout.splitlines() if len(line.split()) > 1}
    assert states["world"] == "Reused"
    assert states["corpus"] == "Completed"
    third = plumbline(service, "rerun", "--from", "report")
    assert third.returncode == 0, third.stdout + third.stderr
    lines = [line.split() for line in third.stdout.splitlines()]
    assert [line[0] for line in lines if line[1:2] == ["Completed"]] == ["report"]
