"""Run the calibration in a process of its own, with the threads of the stage, and keep what it finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tasks.failures import StageFailure
from tasks.planner.ppo_work import Work
from tasks.planner.profile import Profile, load_profile, profile_path

ROOT = Path(__file__).resolve().parents[2]


def measure_machine(work: Work, threads: int, home: Path, again: bool = False) -> Profile:
    """The profile of this kind of work below ``home``, measured when it is not there, or ``again``.

    Takes some seconds for small models. Raises StageFailure with the child's last lines when it fails.
    """
    path = profile_path(home, work, threads)
    if not again and (found := load_profile(path)):
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    told = path.with_suffix(".work")
    told.write_text(json.dumps(work.plain()), encoding="utf-8")
    command = [sys.executable, "-m", "tasks.planner.calibrate", str(told), str(threads), str(path)]
    try:
        done = subprocess.run(command, env=_environment(threads), capture_output=True, text=True, check=False)
    finally:
        told.unlink()
    profile = load_profile(path)
    if done.returncode or profile is None:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise StageFailure(f"the calibration of this machine ended with exit status {done.returncode}:\n{tail}")
    return profile


def _environment(threads: int) -> dict[str, str]:
    """As a stage's child has it, on the CPU."""
    settings = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
    }
    return {**os.environ, **settings}
