"""PPO of ours beside TRL's, the same work in both: samples per second, peak memory, share of time in generation.

    python benchmarks/ppo/trl_ppo.py [--json] [--size quickstart|smollm2|all] [--peer-python PYTHON] [--home FOLDER]
                                     [--rounds 3] [--iterations N] [--threads 1] [--device cpu|cuda] [--cases …]

Every run is a process of its own; ours and the peer's alternate, and the side that begins changes from round to round.
The first iteration of a process is left out. With --home the inputs, the peer's environment and the result of every
finished process stay there: the same command goes on where it was stopped, and --sides does one side alone.
What is equal and what is not: docs/ppo-benchmark.md. Last line with --json: {"ratio_samples" (quickstart size),
"inverse_memory" (peer's peak / ours, smollm2 size; both of the one size when one is asked for), "sizes": {size:
{"ratio_samples", "inverse_memory", …, "cases", "peer"}}, "versions", "threads", "device", "load"}.
"""

import argparse
import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ppo_inputs import PAD, SIZES, make_inputs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = ["trl==1.12.0", "transformers==5.23.0", "peft==0.21.2", "accelerate==1.15.0", "torch==2.13.0"]
CASES: dict[str, dict[str, Any]] = {  # docs/ppo-benchmark.md says what they are
    "head": {"critic": "head", "reward": "shared", "merge": True},
    "roles": {"critic": "adapter", "reward": "shared", "merge": True},
    "lean": {"critic": "adapter", "reward": "shared", "merge": False},
    "whole": {"critic": "adapter", "reward": "whole", "merge": True},
}
MAIN = "head"  # the case of the ratios, when it is among those asked for: the stage's defaults
PEER = "trl"


def peer_python(given: str | None, home: Path) -> str:
    """Python of the peer's environment, which is made, or gets what it lacks, when none is given."""
    if given:
        return f"{given}/bin/python" if Path(given).is_dir() else given
    folder = home / "peer"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        print(f"making the peer's environment in {folder} …", flush=True)
        subprocess.check_call([sys.executable, "-m", "venv", str(folder)])
        subprocess.check_call([str(python), "-m", "pip", "install", "--quiet", *PEERS], stdout=sys.stderr)
        (folder / "installed").touch()
    return str(python)


def specification(options: argparse.Namespace, size: str, inputs: Path) -> dict[str, Any]:
    """What one process is told, but for the case and the round."""
    work = asdict(SIZES[size])
    given = {"iterations": options.iterations, "epochs": options.epochs, "new_tokens": options.new_tokens}
    return work | {name: value for name, value in given.items() if value} | {
        "inputs": str(inputs),
        "device": options.device,
        "threads": options.threads,
        "temperature": 1.0,
        "beta": 0.05,
        "learning_rate": 1e-4,
        "pad": PAD,
        "seed": options.seed,
        "peer_checkpointing": options.peer_checkpointing,
        "profile": False,
    }  # fmt: skip


def run(python: str, case: str, spec: dict[str, Any], results: Path, number: int) -> dict[str, Any]:
    """One side in a process of its own, or what it gave when it was finished before."""
    told = spec if case == PEER else spec | CASES[case]
    key = hashlib.sha256(json.dumps(told | {"python": python}, sort_keys=True).encode()).hexdigest()[:12]
    kept = results / f"{case}-{key}-{number}.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    with tempfile.TemporaryDirectory(dir=results) as work:
        path = Path(work) / "spec.json"
        path.write_text(json.dumps(told | {"work": work}), encoding="utf-8")
        script = "side_peer.py" if case == PEER else "side_ours.py"
        done = subprocess.run(
            [python, str(HERE / script), str(path)],
            env=environment(spec, case), capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr[-4000:]}")
    if told["profile"]:
        print(done.stderr)
    found = json.loads(done.stdout.strip().splitlines()[-1]) | {"load": os.getloadavg()}
    if found["ended"]:
        raise SystemExit(f"{case}: {found['ended']} answers ended early: the sides did not do the same work")
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def environment(spec: dict[str, Any], case: str) -> dict[str, str]:
    """The same threads for both; without a GPU neither sees one."""
    names = {"OMP_NUM_THREADS": str(spec["threads"]), "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
    if spec["device"] == "cuda":
        names["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    return {**os.environ, **names, "PYTHONPATH": "" if case == PEER else str(ROOT)}


def figures(runs: list[dict[str, Any]], spec: dict[str, Any]) -> dict[str, Any]:
    """Medians over the timed iterations of all processes; peaks: medians over the processes."""
    wall, cpu, generation = (
        [value for one in runs for value in one[name][1:]] for name in ("wall", "cpu", "generation")
    )
    seconds = statistics.median(wall)

    def middle(name: str) -> float:
        return statistics.median(one[name] for one in runs)

    return {
        "samples_s": spec["batch"] / seconds,
        "samples_cpu_s": spec["batch"] / statistics.median(cpu),
        "iteration_s": seconds,
        "fastest_s": min(wall),
        "slowest_s": max(wall),
        "iterations": len(wall),
        "generation_share": sum(generation) / sum(wall),
        "generation_s": statistics.median(generation),
        "peak_mb": middle("peak_mb"),
        "imported_mb": middle("imported_mb"),
        "own_mb": statistics.median(one["peak_mb"] - one["imported_mb"] for one in runs),
        "device_peak_mb": middle("device_peak_mb"),
        "trained_parameters": runs[0]["trained"],
        "first_score": runs[0]["scores"][0],
        "load": [round(one["load"][0], 1) for one in runs],
        "versions": runs[0]["versions"],
    }


def show(name: str, found: dict[str, Any]) -> None:
    print(
        f"  {name:6} {found['samples_s']:8.2f} samples/s  {found['samples_cpu_s']:8.2f} samples/CPU-s  "
        f"generation {found['generation_share']:4.0%}  peak {found['peak_mb']:6.0f} MB ({found['own_mb']:.0f} beyond "
        f"imports)" + (f"  device {found['device_peak_mb']:.0f} MB" if found["device_peak_mb"] else ""),
        flush=True,
    )


def compare(options: argparse.Namespace, size: str, home: Path) -> dict[str, Any]:
    """All rounds of a size; medians and ratios of what was run."""
    inputs, results = home / f"{size}-{options.seed}", home / "results" / size
    results.mkdir(parents=True, exist_ok=True)
    make_inputs(SIZES[size], options.seed, inputs)
    spec = specification(options, size, inputs)
    cases = [case for case in options.cases if "ours" in options.sides]
    order = [PEER, *cases] if "peer" in options.sides else cases
    theirs = peer_python(options.peer_python, home) if PEER in order else ""
    runs: dict[str, list[dict[str, Any]]] = {case: [] for case in order}
    print(f"{size}: {spec['batch']} answers of {spec['new_tokens']} tokens, {spec['epochs']} epochs", flush=True)
    for number in range(options.rounds):
        for case in order if number % 2 == 0 else order[::-1]:
            python = theirs if case == PEER else sys.executable
            runs[case].append(run(python, case, spec, results, number))
    found = {case: figures(ran, spec) for case, ran in runs.items()}
    for case, values in found.items():
        show(case, values)
    expect_same_scores(runs)
    summary: dict[str, Any] = {"work": {name: value for name, value in spec.items() if name != "inputs"}}
    if PEER in found:
        summary["peer"] = found.pop(PEER)
        main = MAIN if MAIN in found else next(iter(found), None)
        found = {case: values | ratios(values, summary["peer"]) for case, values in found.items()}
        if main:
            summary |= {"case": main} | ratios(found[main], summary["peer"])
            print(
                "  " + "  ".join(f"{name} {value:.3g}" for name, value in ratios(found[main], summary["peer"]).items())
            )
    return summary | {"cases": found}


def ratios(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, float]:
    """Larger is better for us."""
    memory = "device_peak_mb" if peer["device_peak_mb"] else "peak_mb"
    return {
        "ratio_samples": ours["samples_s"] / peer["samples_s"],
        "ratio_samples_cpu": ours["samples_cpu_s"] / peer["samples_cpu_s"],
        "inverse_memory": peer[memory] / ours[memory],
        "inverse_own_memory": peer["own_mb"] / ours["own_mb"],
    }


def expect_same_scores(runs: dict[str, list[dict[str, Any]]]) -> None:
    """All sides score the same texts alike, or they do not have the same reward model."""
    rows = [one["probe"] for ran in runs.values() for one in ran]
    for row in rows[1:]:
        if not all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-3) for a, b in zip(rows[0], row, strict=True)):
            raise SystemExit(f"the sides score the same texts as {rows[0]} and {row}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="all", choices=(*SIZES, "all"))
    parser.add_argument("--cases", nargs="+", default=[*CASES], choices=tuple(CASES), help="ours: kinds of roles")
    parser.add_argument("--sides", nargs="+", default=["ours", "peer"], choices=("ours", "peer"))
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side")
    parser.add_argument("--iterations", type=int, help="timed ones of a process")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--new-tokens", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer-python", help="environment, or its Python, that has the peer; made when empty")
    parser.add_argument("--peer-checkpointing", action="store_true", help="the peer with its gradient checkpointing on")
    parser.add_argument("--home", type=Path, help="keeps everything; a temporary folder when empty")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (options.home or Path(folder)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        sizes = list(SIZES) if options.size == "all" else [options.size]
        found = {size: compare(options, size, home) for size in sizes}
    if options.json:
        top = {
            "ratio_samples": found[sizes[0]].get("ratio_samples"),
            "inverse_memory": found[sizes[-1]].get("inverse_memory"),
        }
        about = {"device": options.device, "threads": options.threads, "load": os.getloadavg()}
        print(json.dumps(top | {"sizes": found} | about))


if __name__ == "__main__":
    main()
