"""Started by test_kills.py: a run that is killed with SIGKILL at random moments until it gets through.

Forks of one process that has loaded everything and computed nothing, so that an attempt begins at once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from dying_runs import content, new_folder
from ppo_parts import Parts, write_parts

from configs.schema.ppo_parts import CriticConfig, EmaConfig, KlConfig
from configs.schema.training import CheckpointConfig
from tasks.live import Live
from tasks.ppo.train import train_ppo

KILLS = 20


def attempt(parts: Parts, out: Path, work: Path) -> int:
    """Start a run in a process of its own; its id."""
    child = os.fork()
    if child:
        return child
    torch.set_num_threads(1)
    config = parts.config(
        critic=CriticConfig(kind="adapter"),
        ema=EmaConfig(decay=0.9),
        kl=KlConfig(beta=0.1, target=2.0, horizon=20),
        iterations=6,
        checkpoint=CheckpointConfig(every=1),
        checkpoint_steps=1,
    )
    out.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    train_ppo(config, parts.inputs, out, Live(work))
    os._exit(0)


def main(folder: Path) -> None:
    assert Accelerator is not None
    torch.set_num_threads(1)
    parts = write_parts(folder)
    begin = time.monotonic()
    os.waitpid(attempt(parts, folder / "whole", folder / "work-whole"), 0)
    seconds = time.monotonic() - begin
    expected, rng, kills, same, runs = content(folder / "whole"), random.Random(0), 0, 0, 0
    while kills < KILLS:
        runs += 1
        out, work = new_folder(folder, f"out-{runs}"), folder / f"work-{runs}"
        mine, status = 0, 1
        while status != 0:
            child = attempt(parts, out, work)
            if mine < 5 and kills < KILLS:
                time.sleep(rng.uniform(0.2, 1.0) * seconds)
                os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            mine, kills = mine + int(status == signal.SIGKILL), kills + int(status == signal.SIGKILL)
        same += int(content(out) == expected)
    print(json.dumps({"kills": kills, "runs": runs, "same": same, "files": len(expected)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
