"""Kill the whole run at random moments; the same command goes on, and the final digests are the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS = 10


def start(home: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PLUMBLINE_HOME": str(home), "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(home / "prefect")}
    command = [sys.executable, "-c", "from flows.cli import main; main()", "run", "nano"]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def digests(home: Path) -> dict[str, str]:
    newest = max((home / "runs").glob("*.json"), key=lambda path: json.loads(path.read_text())["started"])
    return {row["name"]: row["artifact"] for row in json.loads(newest.read_text())["stages"]}


@pytest.mark.fault
def test_killed_at_ten_random_moments(tmp_path: Path) -> None:
    plain, killed = tmp_path / "plain", tmp_path / "killed"
    begin = time.monotonic()
    assert start(plain).wait(timeout=900) == 0
    whole = time.monotonic() - begin
    moments = random.Random(0)
    for _ in range(KILLS):
        process = start(killed)
        try:
            # Late enough to get past Prefect's start, early enough to hit every stage over ten kills
            process.wait(timeout=moments.uniform(10, max(whole * 0.45, 20)))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert start(killed).wait(timeout=900) == 0
    assert digests(killed) == digests(plain)
