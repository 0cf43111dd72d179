"""Eight identical runs at once, one server, one store: every stage is made once and reused seven times."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from service import Service

from configs.recipe import load_recipe
from tasks.artifacts import Store, verify_store

pytestmark = pytest.mark.orchestration

STAGES = load_recipe("nano").stages
RUNS = 8


def test_eight_identical_runs_one_trains_seven_reuse(service: Service, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from flows.cli import main; main()", "run", "nano"]
    begin = time.monotonic()
    logs = [(tmp_path / f"{index}.log").open("w+b") for index in range(RUNS)]
    runs = [subprocess.Popen(command, env=service.environment, stdout=log, stderr=log) for log in logs]
    try:
        for run in runs:
            run.wait(timeout=1800)
    finally:
        for run in runs:
            run.kill()
            run.wait()
    text = "\n".join((tmp_path / f"{index}.log").read_text(encoding="utf-8") for index in range(RUNS))
    assert [run.returncode for run in runs] == [0] * RUNS, text
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (service.home / "runs").glob("*.json")]
    assert [record["state"] for record in records] == ["Completed"] * RUNS
    states = {
        stage: Counter(row["state"] for record in records for row in record["stages"] if row["name"] == stage)
        for stage in STAGES
    }
    print(
        f"\n{RUNS} runs in {time.monotonic() - begin:.0f} s",
        *(f"{s:10} {dict(c)}" for s, c in states.items()),
        sep="\n",
    )
    assert states == {stage: Counter(Completed=1, Reused=RUNS - 1) for stage in STAGES}
    digests = {tuple(row["artifact"] for row in record["stages"]) for record in records}
    assert len(digests) == 1
    store = Store(str(service.home))
    assert len(list(store.all_generations())) == len(STAGES)
    assert verify_store(store) == []
    flows = [service.client.read_flow_run(record["flow_run"]) for record in records]
    assert [flow.state.type.value for flow in flows if flow.state] == ["COMPLETED"] * RUNS
