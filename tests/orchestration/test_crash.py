"""Killed flows, workers, launchers and ranks: nothing is left running, and somebody goes on from the checkpoint."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psutil
import pytest
from service import Service, contended, wait_until
from toy_stage import EVERY

from flows.automations import CALM, HEARTBEAT, MISSED, register

pytestmark = pytest.mark.orchestration

GONE = 2.0  # seconds after which nothing of a killed run may be left


@pytest.fixture(autouse=True)
def ready(service: Service) -> Iterator[None]:
    """Automations, the toy deployment and one worker; afterwards no worker."""
    assert register(service.client, HEARTBEAT) == ["plumbline: crash", "plumbline: go on"]
    service.deploy("count", "tests/orchestration/toy_flow.py:count")
    service.start_worker()
    yield
    for name in list(service.workers):
        service.stop_worker(name)


def start_counting(service: Service, name: str, past: int = EVERY + 2, steps: int = 150) -> UUID:
    """A run that is past its first checkpoint."""
    run = service.start_run("count", {"name": name, "steps": steps})
    wait_until(lambda: counted(service, name) >= past, 300, f"step {past} of run {name}")
    return run


def counted(service: Service, name: str) -> int:
    """The newest step that the working folder of this name reports."""
    for job in service.home.rglob("job.json"):
        if json.loads(job.read_text(encoding="utf-8"))["config"]["name"] == name:
            lines = job.with_name("events.jsonl").read_text(encoding="utf-8").splitlines()
            return max((event["done"] for event in map(json.loads, lines) if event["event"] == "progress"), default=0)
    return 0


def flow_process(service: Service) -> psutil.Process:
    (found,) = service.processes("prefect.engine")
    return found


def wait_until_gone(service: Service) -> None:
    begin, limit = time.monotonic(), contended(GONE)
    wait_until(lambda: not service.processes("tasks.child"), limit, "the end of what the killed run had started")
    print(f"gone after {time.monotonic() - begin:.1f} s")
    wait_until(lambda: not service.processes("supervisor.py"), limit, "the end of the supervisor")


def wait_for_state_in_history(service: Service, run: UUID, name: str, seconds: float) -> None:
    begin = time.monotonic()
    wait_until(lambda: name in [state.name for state in service.history(run)], seconds, f"state {name}")
    print(f"{name} after {time.monotonic() - begin:.1f} s")


def row(service: Service, run: UUID) -> dict[str, Any]:
    record = service.record(run)
    assert record is not None
    assert record["state"] == "Completed"
    return record["stages"][0]


def check_it_went_on(service: Service, run: UUID) -> None:
    wait_until(lambda: service.read(run).state_name == "Completed", 300, "the end of the run")
    end = row(service, run)
    assert end["metrics"]["first"] >= EVERY
    assert end["metrics"]["first"] % EVERY == 0
    assert end["resumed_at"] == end["metrics"]["first"]
    assert 0 <= end["lost_steps"] <= EVERY


def test_a_killed_flow_crashes_at_once_and_goes_on(service: Service) -> None:
    run = start_counting(service, "flow")
    flow_process(service).kill()
    wait_until_gone(service)
    wait_for_state_in_history(service, run, "Crashed", seconds=10)
    wait_for_state_in_history(service, run, "AwaitingRetry", seconds=CALM + 10)
    check_it_went_on(service, run)
    assert service.read(run).run_count == 2


def test_a_killed_worker_takes_its_flow_along_and_the_next_goes_on(service: Service) -> None:
    run = start_counting(service, "worker")
    service.kill_worker()
    wait_until_gone(service)
    wait_until(lambda: not service.processes("prefect.engine"), 15, "the end of the flow")
    wait_for_state_in_history(service, run, "Crashed", seconds=10)
    service.start_worker("second")
    check_it_went_on(service, run)


def test_a_lost_machine_is_noticed_within_three_heartbeats(service: Service) -> None:
    """Worker and flow die in the same moment, so nobody can tell the server."""
    run = start_counting(service, "machine")
    flow = flow_process(service)
    flow.suspend()  # it shall not notice that its worker goes
    service.kill_worker()
    flow.kill()
    wait_until_gone(service)
    wait_for_state_in_history(service, run, "Crashed", seconds=MISSED * HEARTBEAT + 5)
    service.start_worker("second")
    check_it_went_on(service, run)


@pytest.mark.parametrize("victim", ["accelerate.commands.launch", "supervisor.py", "rank"])
def test_a_lost_child_is_retried_and_goes_on(service: Service, victim: str) -> None:
    run = start_counting(service, victim)
    children = service.processes("tasks.child")
    if victim == "rank":
        (killed,) = [process for process in children if "accelerate" not in " ".join(process.cmdline())]
    else:
        (killed,) = service.processes(victim) if victim == "supervisor.py" else _direct(children, victim)
    left = [process for process in children if process.pid != killed.pid]
    killed.kill()
    patience = 10 if victim == "rank" else contended(GONE)  # a launcher takes a moment to say what it lost
    wait_until(lambda: not any(process.is_running() and process.status() != "zombie" for process in left), patience)
    check_it_went_on(service, run)
    assert service.read(run).run_count == 1
    assert "AwaitingRetry" not in [state.name for state in service.history(run)]


def _direct(children: list[psutil.Process], word: str) -> list[psutil.Process]:
    return [process for process in children if word in " ".join(process.cmdline()) and "-S" not in process.cmdline()]


def test_a_run_that_crashes_again_and_again_is_refused(service: Service) -> None:
    service.stop_worker()
    service.start_worker("strict", PLUMBLINE_MAX_CRASHES="1")
    run = start_counting(service, "again")
    flow_process(service).kill()
    wait_for_state_in_history(service, run, "AwaitingRetry", seconds=CALM + 10)
    wait_until(lambda: service.read(run).state_name == "Failed", 120, "the refusal")
    state = service.read(run).state
    assert "crashed 1 times within 24 hours, PLUMBLINE_MAX_CRASHES=1" in str(state and state.message)
