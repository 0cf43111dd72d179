"""The Prefect server is killed and started again five times in a run: the run completes as if nothing had been."""

import random
import time

import httpx
import pytest
from service import Service, wait_until

pytestmark = pytest.mark.orchestration

KILLS = 5
AWAY = (6.0, 15.0)  # seconds without a server


def test_five_restarts_of_the_server_lose_nothing(worker: Service) -> None:
    worker.deploy("align", "flows/align.py:align")
    run = worker.start_run("align", {"recipe": "nano"})
    worker.wait_for(run, "Running", seconds=200)
    moments = random.Random(0)
    kills = 0
    while kills < KILLS:
        time.sleep(moments.uniform(1, 8))
        record = worker.record(run)
        if record is not None and record["state"] != "Running":
            break
        worker.kill_server()
        kills += 1
        time.sleep(moments.uniform(*AWAY))
        worker.start_server()
    worker.wait_for(run, "Completed", seconds=600)
    print(f"{kills} kills")
    assert kills == KILLS, "the run was over before the server had died five times"
    record = worker.record(run)
    assert record is not None
    assert record["state"] == "Completed"
    assert {row["state"] for row in record["stages"]} == {"Completed"}
    assert worker.read(run).run_count == 1
    wait_until(lambda: _all_final(worker, run), 60, "the final state of every task run")


def _all_final(service: Service, run: object) -> bool:
    found = httpx.post(
        f"{service.url}/task_runs/filter", json={"flow_runs": {"id": {"any_": [str(run)]}}}, timeout=10
    ).json()
    return bool(found) and all(row["state_type"] == "COMPLETED" for row in found)
