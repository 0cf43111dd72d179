"""Forty SIGKILLs at random moments, each at one random process of a quickstart-sized run: nothing lost, nothing torn.

The victim is the flow, the supervisor, the launcher or the training process of whatever stage runs at that moment.
After each kill every committed artifact is hashed again; when the flow itself died, none of its processes may be left
after two seconds. The same command goes on each time, and the final digests equal those of an uninterrupted run.
"""

import collections
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tasks.artifacts import Store, verify_store

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("PLUMBLINE_TEST_KILLS", "40"))
# A stage that has had its share is left alone, so that the later ones have theirs
MOST_OF_A_STAGE = max(1, KILLS // 6)
RECIPE = os.environ.get("PLUMBLINE_TEST_KILLED_RECIPE", "quickstart")
ORPHANS_GONE = 2.0  # seconds
ROLES = {"supervisor.py": "supervisor", "accelerate.commands.launch": "launcher", "tasks.child": "trainer"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server that outlives the runs, so that forty starts do not wait for forty servers."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "PREFECT_HOME": str(home)}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, limit = f"http://127.0.0.1:{port}/api", time.monotonic() + 180
    while not_ready(url):
        assert time.monotonic() < limit, "the server did not start"
        time.sleep(0.5)
    yield url
    process.terminate()
    process.wait(timeout=60)


def not_ready(url: str) -> bool:
    try:
        return not httpx.get(f"{url}/health", timeout=5).is_success
    except httpx.HTTPError:
        return True


@dataclass
class Victim:
    """One home, the command that runs in it, and what was killed."""

    home: Path
    server: str
    killed: collections.Counter[str] = field(default_factory=collections.Counter)

    def start(self) -> psutil.Popen:
        env = {**os.environ, "PLUMBLINE_HOME": str(self.home), "PYTHONPATH": str(ROOT), "PREFECT_API_URL": self.server}
        command = [sys.executable, "-c", "from flows.cli import main; main()", "run", RECIPE]
        log = (self.home.parent / f"{self.home.name}.log").open("ab")
        return psutil.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)

    def processes(self) -> list[psutil.Process]:
        """Every process that was started for this home, orphans too."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("PLUMBLINE_HOME") == str(self.home)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_one(self, flow: psutil.Popen, moments: random.Random) -> None:
        """One process of the stage that runs, unless that stage had its share."""
        victim = moments.choice(self.processes() or [flow])
        stage, role = self.running(), _role(victim)
        had = sum(count for name, count in self.killed.items() if name.startswith(f"{stage}/"))
        if had >= MOST_OF_A_STAGE:
            return
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return
        self.killed[f"{stage}/{role}"] += 1

    def running(self) -> str:
        rows = self.record()["stages"] if list((self.home / "runs").glob("*.json")) else []
        return next((row["name"] for row in rows if row["state"] == "Running"), "between")

    def record(self) -> dict:
        files = (self.home / "runs").glob("*.json")
        return max((json.loads(path.read_text()) for path in files), key=lambda record: record["started"])

    def digests(self) -> dict[str, str]:
        return {row["name"]: row["artifact"] for row in self.record()["stages"]}


def _role(process: psutil.Process) -> str:
    try:
        text = " ".join(process.cmdline())
    except psutil.Error:
        return "gone"
    return next((role for part, role in ROLES.items() if part in text), "flow")


@pytest.mark.fault
def test_forty_random_kills_lose_nothing(tmp_path: Path, server: str) -> None:
    plain, victim = Victim(tmp_path / "plain", server), Victim(tmp_path / "killed", server)
    begin = time.monotonic()
    assert plain.start().wait(timeout=3600) == 0
    whole = time.monotonic() - begin
    moments, orphans, committed = random.Random(0), 0, set[str]()
    store = Store(str(victim.home), cache=victim.home / "cache")
    flow = victim.start()
    while sum(victim.killed.values()) < KILLS:
        try:
            # So that forty kills are spread over the length of the run
            status = flow.wait(timeout=moments.uniform(4, 4 + 2 * whole / KILLS))
            if status == 0:
                assert victim.digests() == plain.digests()
                return_to_the_start(store)
                committed = set[str]()
            flow = victim.start()  # it failed when all attempts at a stage were killed
            continue
        except psutil.TimeoutExpired:
            victim.kill_one(flow, moments)
        if gone(flow):
            time.sleep(ORPHANS_GONE)
            orphans += len(victim.processes())
            flow = victim.start()
        refs = {ref.digest for ref, _ in store.refs()}
        assert verify_store(store) == []
        assert committed <= refs
        committed = refs
    print(dict(victim.killed))
    while flow.wait(timeout=3600) != 0:
        flow = victim.start()
    assert len({name.split("/")[0] for name in victim.killed}) >= 6
    assert orphans == 0
    assert victim.digests() == plain.digests()


def gone(flow: psutil.Popen, patience: float = 0.5) -> bool:
    try:
        flow.wait(timeout=patience)
    except psutil.TimeoutExpired:
        return False
    return True


def return_to_the_start(store: Store) -> None:
    """Set every artifact aside, so that the next run makes all of them again."""
    for ref, _ in list(store.refs()):
        store.set_aside(ref, "the test starts over")
