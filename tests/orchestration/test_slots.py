"""Slots of a device class over all hosts: never two trainings in one, none for what is reused, back after a kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from service import Service, wait_until

from tasks.slots import LEASE_SECONDS, gpu_limit

pytestmark = pytest.mark.orchestration

LIMIT = gpu_limit("nvidia-h200")
RUN = "import sys; from toy_flow import count; count(sys.argv[1], int(sys.argv[2]))"


class Fleet:
    """Hosts with one GPU each: flow processes whose device locks lie apart, and one Prefect server."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder = service, folder
        self.started: list[subprocess.Popen[bytes]] = []
        gpu = folder / "gpus" / "0000:1b:00.0"
        gpu.mkdir(parents=True)
        (gpu / "information").write_text("Model: NVIDIA H200\nGPU UUID: GPU-1b\n", encoding="utf-8")

    def start(self, name: str, steps: int, host: str) -> subprocess.Popen[bytes]:
        """A run that counts, on a host; ten steps a second."""
        env = {**self.service.environment, "PLUMBLINE_GPU_FOLDER": str(self.folder / "gpus")}
        env["PLUMBLINE_DEVICE_LOCKS"] = str(self.folder / host)
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-c", RUN, name, str(steps)]
            self.started.append(subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True))
        return self.started[-1]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def training(self) -> set[str]:
        """Jobs that training processes work at now."""
        jobs = set()
        for process in self.service.processes("tasks.child"):
            with suppress(psutil.Error):  # it has just ended
                jobs.add(process.cmdline()[-1])
        return jobs

    def taken(self) -> int:
        return self.service.client.read_global_concurrency_limit_by_name(LIMIT).active_slots


@pytest.fixture
def fleet(service: Service, tmp_path: Path) -> Iterator[Fleet]:
    found = Fleet(service, tmp_path)
    yield found
    for process in found.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def plumbline(service: Service, *arguments: str) -> str:
    command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
    done = subprocess.run(command, env=service.environment, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_one_slot_two_hosts_never_two_trainings(fleet: Fleet) -> None:
    assert LIMIT in plumbline(fleet.service, "slots", "--set", "nvidia-h200=1")
    runs = [fleet.start(name, 40, host=name) for name in ("left", "right")]
    most, jobs = 0, set()
    while any(run.poll() is None for run in runs):
        now = fleet.training()
        jobs |= now
        most = max(most, len(now))
        time.sleep(0.1)
    assert [run.returncode for run in runs] == [0, 0], fleet.log("left") + fleet.log("right")
    assert (len(jobs), most) == (2, 1)
    assert fleet.taken() == 0
    assert f"waiting for 1 slot(s) of the limit {LIMIT}" in fleet.log("left") + fleet.log("right")


def test_what_is_reused_takes_no_slot(fleet: Fleet) -> None:
    assert fleet.start("again", 5, host="a").wait(timeout=180) == 0
    plumbline(fleet.service, "slots", "--set", "nvidia-h200=0")
    assert fleet.start("again", 5, host="b").wait(timeout=180) == 0
    assert "Reused" in fleet.log("again")


def test_a_wait_for_a_slot_ends_with_ctrl_c(fleet: Fleet) -> None:
    plumbline(fleet.service, "slots", "--set", "nvidia-h200=0")
    run = fleet.start("waits", 5, host="a")
    wait_until(lambda: "waiting for 1 slot(s)" in fleet.log("waits"), 120, "the wait")
    begin = time.monotonic()
    run.send_signal(signal.SIGINT)
    run.wait(timeout=60)
    print(f"ended after {time.monotonic() - begin:.1f} s")
    assert not fleet.training()


def test_without_a_limit_nothing_waits(fleet: Fleet) -> None:
    fleet.service.client.delete_global_concurrency_limit_by_name(LIMIT)
    assert fleet.start("free", 5, host="a").wait(timeout=180) == 0
    assert "limit" not in fleet.log("free")


@pytest.mark.parametrize("server_dies", [False, True], ids=["", "and the server restarted"])
def test_a_killed_holders_slot_comes_back(fleet: Fleet, server_dies: bool) -> None:
    plumbline(fleet.service, "slots", "--set", "nvidia-h200=1")
    holder: Any = fleet.start(f"dies-{server_dies}", 3000, host="a")
    wait_until(fleet.training, 120, "training")
    assert fleet.taken() == 1
    os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()
    begin = time.monotonic()
    if server_dies:
        fleet.service.kill_server()
        fleet.service.start_server()
    after = fleet.start(f"next-{server_dies}", 5, host="b")
    wait_until(lambda: not fleet.training(), 60, "the end of the killed run's training")
    wait_until(fleet.training, 2 * LEASE_SECONDS + 120, "the next training")
    print(f"\nthe next training began {time.monotonic() - begin:.0f} s after the holder was killed")
    assert after.wait(timeout=120) == 0
