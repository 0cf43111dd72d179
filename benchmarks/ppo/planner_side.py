"""One run of the PPO stage for planner.py: python planner_side.py SPEC.json; the last line is JSON.

The stage's own function, in a process of its own with the imports of the stage's child. CPU seconds and memory are
noted when an iteration reports.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from meter import memory_mb

import tasks.child
from configs.schema.ppo import PPOConfig
from tasks.allocator import keep_freed_memory
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.ppo.train import train_ppo


@dataclass
class Noting(Live):
    """Writes down the state of the process at the beginning of training and after each iteration."""

    marks: list[dict[str, float]] = field(default_factory=list)

    def start_at(self, done: int, unit: str) -> None:
        self._note()

    def progress(self, done: int, total: int, unit: str, **values: float) -> None:
        self._note()

    def _note(self) -> None:
        now = {"cpu": time.process_time(), "wall": time.perf_counter()}
        self.marks.append({**now, "rss_mb": memory_mb("VmRSS"), "peak_mb": memory_mb("VmHWM")})


def main() -> None:
    assert tasks.child.main  # what the stage's child has imported
    imported_mb, imported_cpu = memory_mb("VmRSS"), time.process_time()
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    keep_freed_memory()  # as the child does
    folder, work = Path(spec["folder"]), Path(spec["work"])
    inputs = Inputs(
        folders={"base": folder / "base", "finetuned": folder / "finetuned", "reward": folder / spec["reward"]},
        sources={"prompts.jsonl": [folder / "prompts.jsonl"]},
    )
    live, out = Noting(work), work / "out"
    out.mkdir()
    train_ppo(PPOConfig.model_validate(spec["config"]), inputs, out, live)
    curve = [json.loads(line) for line in (out / "training" / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    about = {
        "imported_mb": imported_mb,
        "imported_cpu": imported_cpu,
        "marks": live.marks,
        "peak_mb": memory_mb("VmHWM"),
        "cpu": time.process_time(),
        "length": [row["length"] for row in curve],
    }
    print(json.dumps(about))


if __name__ == "__main__":
    main()
