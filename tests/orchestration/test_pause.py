"""People rank while no process waits: suspended, workers killed and started, bad answers refused, then completed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from asking import fill_in
from prefect.client.schemas.objects import FlowRunPolicy
from service import ROOT, Service, wait_until

from flows.automations import register

pytestmark = pytest.mark.orchestration
TESTS = os.pathsep.join([str(ROOT), str(ROOT / "tests")])


@pytest.fixture
def asked(service: Service) -> Iterator[Service]:
    """A worker, and the automations that every server of ours has."""
    register(service.client)
    service.deploy("asks", "tests/asking.py:asks")
    service.start_worker(PYTHONPATH=TESTS)
    yield service
    for name in list(service.workers):
        service.stop_worker(name)


def begin(service: Service, *changes: str) -> tuple[UUID, Path]:
    """A suspended run, and the sheet that it gave out. Every run has a seed, and so candidates' sheet, of its own."""
    run = service.start_run("asks", {"changes": list(changes)})
    service.wait_for(run, "Suspended", seconds=300)
    return run, Path(record(service, run)["waiting"]["file"])


def record(service: Service, run: UUID) -> dict[str, object]:
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in (service.home / "runs").glob("*.json")]
    return next(row for row in rows if row["flow_run"] == str(run))


def states(service: Service, run: UUID) -> dict[str, str]:
    return {row["name"]: row["state"] for row in record(service, run)["stages"] if row["state"] != "Pending"}


def times_suspended(service: Service, run: UUID) -> int:
    policy: FlowRunPolicy = service.read(run).empirical_policy
    return len(policy.pause_keys or ())


def suspended_again(service: Service, run: UUID, times: int) -> None:
    def again() -> bool:
        state = service.read(run).state
        return state is not None and state.name == "Suspended" and times_suspended(service, run) == times

    wait_until(again, 240, f"suspension {times}\n{service.log_tail()}")


def form(service: Service, run: UUID, times: int) -> str:
    """What the Resume dialog of a suspension says: Prefect stores it a moment after the state."""
    prefix = f"suspended-rankings-{times}-description"
    found = wait_until(lambda: service.client.filter_flow_run_input(run, prefix, 1, set()), 60, "the form")
    return str(found[0].value)


def forget(service: Service) -> None:
    """What people gave in an earlier test; the toy has the same candidates every time."""
    for path in service.home.glob("rankings/*/*"):
        path.unlink()


def deadlines(service: Service) -> list[str]:
    return [found.name for found in service.client.read_automations() if "deadline of" in found.name]


def test_a_pause_outlives_its_workers_and_refuses_bad_answers(asked: Service) -> None:
    forget(asked)
    run, sheet = begin(asked)
    assert record(asked, run)["state"] == "Waiting"
    assert states(asked, run) == {"candidates": "Completed", "rank": "Waiting"}
    assert "0 of 4 prompts are ranked" in form(asked, run, 1)
    wait_until(lambda: not asked.processes("prefect.engine"), 30, "the end of the suspended process")
    asked.kill_worker()

    refused = asked.client.resume_flow_run(run, run_input={"rankings": "", "annotator": "ann"})
    assert refused.status.value == "REJECT", "the form itself refuses an empty path"
    assert asked.client.resume_flow_run(run, run_input={"rankings": "/nowhere.jsonl"}).status.value == "ACCEPT"
    asked.start_worker("second", PYTHONPATH=TESTS)
    suspended_again(asked, run, 2)
    assert "**Refused:** /nowhere.jsonl: no such file" in form(asked, run, 2)

    copy = sheet.with_name("copy.jsonl")
    copy.write_bytes(sheet.read_bytes())
    asked.client.resume_flow_run(run, run_input={"rankings": str(fill_in(copy, count=3))})
    suspended_again(asked, run, 3)
    assert "3 of 4 prompts are ranked" in form(asked, run, 3)

    fill_in(sheet, ranks=(1, 1, 1))  # somebody's draft: what the form names goes before it
    asked.client.resume_flow_run(run, run_input={"rankings": str(fill_in(copy)), "annotator": "ann"})
    asked.wait_for(run, "Completed", seconds=240)
    assert record(asked, run)["state"] == "Completed"
    assert states(asked, run) == {"candidates": "Reused", "rank": "Completed"}
    kept = [json.loads(line) for line in sheet.with_name("rankings.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["annotator"], row["ranks"]) for row in kept] == [("ann", [2, 1, 3])] * 4


def test_plumbline_resume_hands_the_run_to_a_worker(asked: Service) -> None:
    forget(asked)
    run, sheet = begin(asked, "rank.people.target=2")
    command = [sys.executable, "-c", "from flows.cli import main; main()", "resume", "--annotator", "bo"]

    def plumbline() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=asked.environment, cwd=ROOT, capture_output=True, text=True, check=False)

    early = plumbline()
    assert early.returncode == 1
    assert "0 of 2 prompts are ranked" in early.stderr
    assert asked.read(run).state.name == "Suspended"  # type: ignore[union-attr]
    fill_in(sheet, count=2)
    done = plumbline()
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 ranked prompts accepted" in done.stdout
    asked.wait_for(run, "Completed", seconds=240)


@pytest.mark.parametrize(("policy", "end"), [("use", "Completed"), ("fail", "Failed")])
def test_the_deadline_resumes_the_run_and_the_policy_decides(asked: Service, policy: str, end: str) -> None:
    forget(asked)
    run, sheet = begin(asked, "rank.people.deadline_hours=0.015", f"rank.people.on_deadline={policy}")
    fill_in(sheet, count=2)
    assert deadlines(asked) == [f"plumbline: deadline of {record(asked, run)['run']}"]
    state = asked.wait_for(run, end, seconds=400)
    assert deadlines(asked) == []
    assert record(asked, run)["state"] == end
    if policy == "fail":
        assert "2 of 4 prompts are ranked" in (state.message or "")
