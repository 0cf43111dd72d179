"""Two processes take the step of one: whitening, gradients and statistics over both."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_processes_job
from ppo_parts import Parts

from tasks.ppo.processes import Processes

JOB = Path(two_processes_job.__file__)
REPOSITORY = Path(__file__).parents[3]


Found = dict[int, dict[str, dict[str, list[float]]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What one process and what two report of the same rollout, by kind of roles."""
    folder = tmp_path_factory.mktemp("processes")
    two_processes_job.main(folder / "1.json")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", JOB, folder / "2.json"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{JOB.parent}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {count: json.loads((folder / f"{count}.json").read_text(encoding="utf-8")) for count in (1, 2)}


def test_both_processes_took_part(found: Found) -> None:
    for kind in two_processes_job.KINDS:
        assert found[1][kind]["processes"] == [1]
        assert found[2][kind]["processes"] == [2]
        assert found[2][kind]["empty_shares"] != [0]  # a minibatch with no row of one process: it still joins


@pytest.mark.parametrize("kind", list(two_processes_job.KINDS))
def test_two_processes_equal_one(found: Found, kind: str) -> None:
    one, two = found[1][kind], found[2][kind]
    for name in ("advantages", "parameters", "statistics"):
        torch.testing.assert_close(torch.tensor(two[name]), torch.tensor(one[name]), atol=1e-6, rtol=1e-5)
    assert max(abs(a - b) for a, b in zip(one["parameters"], one["before"], strict=True)) > 1e-3


@pytest.mark.parametrize("kind", list(two_processes_job.KINDS))
@pytest.mark.parametrize("count", [1, 2])
def test_saved_inside_an_update_and_resumed_to_the_bit(found: Found, kind: str, count: int) -> None:
    """The rows of all processes are in the checkpoint; each takes its own again."""
    assert found[count][kind]["resumed"] == found[count][kind]["parameters"]


def test_one_process_has_everything(parts: Parts, processes: Processes) -> None:
    assert processes.share(3) == [0, 1, 2]
    assert processes.main
    assert float(processes.sum(torch.tensor(3.0))) == 3.0
