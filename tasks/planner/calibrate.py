"""Measure this machine for a shape, in a process of its own: python -m tasks.planner.calibrate WORK THREADS OUT.

The passes are the trainer's own, on models with one and three layers and with few and all rows of a pass; what lies
between is a line (``profile.Rate``). Before that two iterations are rehearsed on a thin model, for the memory that the
allocator holds beyond the tensors and for the time beside the passes.
"""

import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import tasks.ppo.train  # noqa: F401 - what the stage's process imports
from tasks.allocator import keep_freed_memory
from tasks.planner.bench import STEPS, Bench, Run
from tasks.planner.ppo_flops import Pass, passes
from tasks.planner.ppo_memory import UPDATES, Overhead, memory
from tasks.planner.ppo_work import Work
from tasks.planner.profile import Profile, Rate
from tasks.planner.rehearsal import rehearse, tiny
from tasks.ppo.iteration import iterate

LAYERS = (1, 3)
SHORT = 0.3  # s; what takes longer is measured twice instead of five times
Clock = Callable[[], float]


def calibrate(work: Work, threads: int) -> Profile:
    """All figures. CPU seconds with one thread, which other processes hardly change; else seconds."""
    torch.set_num_threads(threads)
    keep_freed_memory()  # as the stage's child does
    clock = time.process_time if threads == 1 else time.perf_counter
    start, imports = time.process_time(), resident("VmRSS")
    iterate(*rehearse(tiny(work), 1))
    first_use = resident("VmRSS") - imports
    took, holes = _rehearse(work, clock)
    rates = measure(work, clock)
    rehearsed = {
        kind: found for kind, found in passes(work.with_layers(LAYERS[0])).items() if kind not in ("score", "ptx")
    }
    told = sum(rates[kind].seconds(one) * count for kind, (one, count) in rehearsed.items())
    return Profile(
        rates=rates,
        imports=imports,
        first_use=max(first_use, 0.0),
        holes=holes,
        host=max(took - told, 0.0) / (work.rows * work.lengths.answer),
        start=start,
        threads=threads,
        rows=work.learn_rows,
        tokens=work.lengths.row,
    )


def _rehearse(work: Work, clock: Clock) -> tuple[float, tuple[float, float]]:
    """Seconds of the second iteration with one layer; holes as shares of what more layers need and of the rest."""
    before, took, levels, planned = resident("VmRSS"), 0.0, [], []
    for layers, times in zip(LAYERS, (2, 1), strict=True):
        thin = work.with_layers(layers)
        roles, learner = rehearse(thin, layers)
        for _ in range(times):
            began = clock()
            iterate(roles, learner)
            took = took if layers > LAYERS[0] else clock() - began
        found = memory(thin, Overhead(0.0, 0.0, (0.0, 0.0)))
        planned.append(found)
        # no reward model was there
        levels.append(resident("VmHWM") - before - sum(found.held.values()) + found.held["reward model"])
        del roles, learner
        gc.collect()
    one, three = planned
    name = max(UPDATES, key=lambda name: three.phases[name])
    grown = three.phases[name] - one.phases[name]
    share = (levels[1] - levels[0]) / grown - 1
    return took, (share, levels[0] / one.phases[name] - 1)


def measure(work: Work, clock: Clock) -> dict[str, Rate]:
    """Rates of every kind of pass that the work has."""
    points: dict[str, list[tuple[Pass, float]]] = {}
    for layers in LAYERS:
        for one, run in Bench(work.with_layers(layers)).runs():
            points.setdefault(one.kind, []).append((one, _seconds(run, clock)))
    # a first token and some steps were measured
    pairs = zip(points["step"], points["prefill"], strict=True)
    points["step"] = [(one, max(both - first, 0.0) / STEPS) for (one, both), (_, first) in pairs]
    return {kind: Rate.fit(found) for kind, found in points.items()}


def _seconds(run: Run, clock: Clock) -> float:
    """Median of some runs after a first one."""
    run()
    found: list[float] = []
    while len(found) < (2 if found and found[0] > SHORT else 5):
        began = clock()
        run()
        found.append(clock() - began)
    return statistics.median(found)


def resident(name: str) -> float:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at the most; without /proc the latter for both."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


def main(work: str, threads: str, out: str) -> None:
    found = calibrate(Work.of(json.loads(Path(work).read_text(encoding="utf-8"))), int(threads))
    path = Path(out)
    new = path.with_name(f"{path.name}.new")
    new.write_text(found.model_dump_json(indent=1), encoding="utf-8")
    new.replace(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
