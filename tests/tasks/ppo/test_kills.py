"""Twenty SIGKILLs at random moments: every run that got through has the bytes of one that was left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kills_job
import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.fault
def test_twenty_random_kills(tmp_path: Path) -> None:
    here = Path(kills_job.__file__)
    done = subprocess.run(
        [sys.executable, here, tmp_path],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{here.parent}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    assert found["kills"] == 20
    assert found["same"] == found["runs"]
    assert found["files"] >= 5
