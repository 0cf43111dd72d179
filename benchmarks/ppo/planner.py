"""The planner's memory and time of the PPO stage beside what the stage takes, case by case.

    python benchmarks/ppo/planner.py [--json] [--home FOLDER] [--cases NAME …] [--iterations 3]

Each case is planned with what one calibration of this machine gave (`plumbline plan --measure`), then the stage's own
function trains random weights in a process of its own, with one thread. Time is CPU seconds, which other work on the
machine changes less than seconds; an iteration is the median of those after the first. Memory is the peak of the
resident set (VmHWM), in total and beyond what the process held after its imports. With --home profiles and measured
runs stay and are used again. Last line with --json: {"cases": {name: {"held_out", "peak_mb", "own_mb", "iteration_s",
"stage_s": each {"predicted", "measured", "ratio"}}}, "worst": {figure: largest |ratio - 1|}, "load"}.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from planner_inputs import make_folders
from ppo_inputs import SIZES, Size

from configs.schema.ppo import PPOConfig
from tasks.planner.measure import measure_machine
from tasks.planner.ppo_memory import memory
from tasks.planner.ppo_time import iteration_seconds, stage_seconds
from tasks.planner.ppo_work import Lengths, RewardShape, Work
from tasks.planner.profile import Profile
from tasks.planner.shape import shape_of_folder

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
QUICK, SMOLLM2 = SIZES["quickstart"], SIZES["smollm2"]
GPT2 = Size(4, 192, 6, 6, 768, 4000, 24, 8, 48, 8, 2)
WIDE = Size(6, 256, 4, 2, 704, 8000, 16, 16, 40, 8, 2, epochs=1)


@dataclass(frozen=True)
class Case:
    """Models and settings of a stage. ``held_out``: made when the planner was finished, nothing was fitted to it."""

    size: Size
    reward: str = "adapter"  # or whole
    settings: dict[str, Any] = field(default_factory=dict)
    architecture: str = "llama"
    held_out: bool = False


CASES = {
    "head": Case(QUICK, "whole"),
    "critic": Case(QUICK, "whole", {"critic": {"kind": "adapter"}}),
    "full": Case(QUICK, "whole", {"method": "full"}),
    "long": Case(QUICK, "whole", {"batch": 16, "minibatch": 8, "max_new_tokens": 128}),
    "shared": Case(QUICK, "adapter"),
    "smollm2": Case(SMOLLM2, "adapter"),
    "gpt2": Case(GPT2, "adapter", architecture="gpt2", held_out=True),
    "lean": Case(
        WIDE, "adapter", {"critic": {"kind": "adapter"}, "merge_for_sampling": False, "micro_batch": 4}, held_out=True
    ),
}  # fmt: skip
FIGURES = ("peak_mb", "own_mb", "iteration_s", "stage_s")


def settings(case: Case, iterations: int) -> dict[str, Any]:
    """PPO settings of a case; nothing is saved while iterations are timed."""
    size, lora = case.size, {"rank": case.size.rank, "alpha": 2 * case.size.rank}
    chosen = dict(case.settings)
    return {
        "prompts": {"path": "prompts.jsonl"},
        "seed": 0,
        "iterations": iterations + 1,  # a checkpoint is written in the last one, which is not timed
        "batch": size.batch,
        "minibatch": size.minibatch,
        "epochs": size.epochs,
        "max_new_tokens": size.new_tokens,
        "max_prompt_tokens": size.longest,
        "heldout_samples": 1,
        "learning_rate": 1e-5,
        "lora": lora,
        "checkpoint": {"every": 1000},
        "table": {"every": None},
        **chosen,
        "critic": {**chosen.get("critic", {}), "lora": lora},
    }


def planned(case: Case, folder: Path, config: dict[str, Any]) -> Work:
    """What the planner is told of a case."""
    shape = shape_of_folder(folder / "base")
    reward = RewardShape(whole=shape) if case.reward == "whole" else RewardShape(rank=case.size.rank)
    ppo = PPOConfig.model_validate(config)
    heldout = case.size.prompts // 10
    return Work(ppo, shape, reward, Lengths(case.size.longest, ppo.max_new_tokens, heldout))


def run(case: Case, folder: Path, config: dict[str, Any], kept: Path) -> dict[str, Any]:
    """The stage in a process of its own, or what it gave when it was run before."""
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=kept.parent) as work:
            spec = Path(work) / "spec.json"
            told = {"folder": str(folder), "work": work, "reward": f"reward-{case.reward}", "config": config}
            spec.write_text(json.dumps(told), encoding="utf-8")
            names = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
            names |= {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
            command = [sys.executable, str(HERE / "planner_side.py"), str(spec)]
            done = subprocess.run(command, env={**os.environ, **names}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{folder.name} failed:\n{done.stderr[-4000:]}")
        kept.write_text(done.stdout.strip().splitlines()[-1], encoding="utf-8")
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def measured(found: dict[str, Any]) -> dict[str, float]:
    """Figures of a run: iterations after the first, without the last, which writes a checkpoint."""
    marks = [mark["cpu"] for mark in found["marks"]]
    steps = [after - before for before, after in pairwise(marks)]
    return {
        "peak_mb": found["peak_mb"],
        "own_mb": found["peak_mb"] - found["imported_mb"],
        "iteration_s": statistics.median(steps[1:-1] or steps),
        "stage_s": found["cpu"],
    }


def predicted(work: Work, profile: Profile) -> dict[str, float]:
    found = memory(work, profile.overhead)
    return {
        "peak_mb": found.peak / 1e6,
        "own_mb": found.own / 1e6,
        "iteration_s": sum(iteration_seconds(work, profile).values()),
        "stage_s": sum(stage_seconds(work, profile).values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--iterations", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = options.home or Path(scratch)
        rows: dict[str, Any] = {}
        for name in options.cases:
            case = CASES[name]
            folder = home / "inputs" / f"{case.architecture}-{case.size.hidden}"
            folder.mkdir(parents=True, exist_ok=True)
            make_folders(case.size, case.architecture, 0, folder)
            config = settings(case, options.iterations)
            work = planned(case, folder, config)
            profile = measure_machine(work, 1, home / "profiles" / name)
            figures = measured(run(case, folder, config, home / f"run-{name}.json"))
            told = predicted(work, profile)
            rows[name] = {"held_out": case.held_out} | {
                figure: {
                    "predicted": round(told[figure], 3),
                    "measured": round(figures[figure], 3),
                    "ratio": round(told[figure] / figures[figure], 3),
                }
                for figure in FIGURES
            }
            print(f"{name:8}", *(f"{k} {v['predicted']:.4g} / {v['measured']:.4g} = {v['ratio']:.2f}  "
                                 for k, v in rows[name].items() if k != "held_out"), flush=True)  # fmt: skip
    worst = {figure: round(max(abs(row[figure]["ratio"] - 1) for row in rows.values()), 3) for figure in FIGURES}
    if options.json:
        print(json.dumps({"cases": rows, "worst": worst, "load": os.getloadavg()}))


if __name__ == "__main__":
    main()
