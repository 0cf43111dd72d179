"""The quickstart's figures on several seeds: what the README and the lab book claim, measured.

    python benchmarks/quickstart_figures.py --seeds 0 1 2 3 4 [--json]

Each seed is one fresh run of the command line in its own home. Prints a table, and with --json one object as the
last line: {"seeds": [...], "runs": [{"seed", "wall_s", "peak_gb", <figures>}], "met": {figure: share of seeds}}.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]


def peak_gb(process: subprocess.Popen[bytes]) -> float:
    """Largest resident memory of the process tree while it runs, in GB (proportional share where known)."""
    peak = 0.0
    while process.poll() is None:
        total = 0
        try:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        for member in family:
            try:
                info = member.memory_full_info()
                total += getattr(info, "pss", info.rss)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        peak = max(peak, total / 1e9)
        time.sleep(1.0)
    return peak


def run(seed: int, home: Path, changes: list[str]) -> dict[str, Any]:
    """One run of the quickstart; returns wall seconds, peak memory and the metrics of every stage."""
    env = {**os.environ, "PLUMBLINE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from flows.cli import main; main()"]
    settings = [part for change in (f"seed={seed}", *changes) for part in ("--set", change)]
    begin = time.monotonic()
    process = subprocess.Popen([*command, "run", "quickstart", *settings], env=env, cwd=ROOT, stdout=sys.stderr)
    peak = peak_gb(process)
    wall = time.monotonic() - begin
    if process.returncode:
        raise SystemExit(f"seed {seed}: the run failed with status {process.returncode}")
    status = json.loads(subprocess.check_output([*command, "status", "--json"], env=env, cwd=ROOT))
    metrics = {row["name"]: row["metrics"] for row in status["stages"]}
    return {"seed": seed, "wall_s": round(wall, 1), "peak_gb": round(peak, 2), "metrics": metrics}


def figures(metrics: dict[str, dict[str, Any]]) -> dict[str, tuple[float, bool]]:
    """Every figure of the table with whether it is met."""
    pre, sft, rew = metrics["pretrain"], metrics["finetune"], metrics["reward"]
    ppo, scores = metrics["ppo"], metrics["evaluate"]
    fall, bound = pre["perplexity_start"] / pre["perplexity"], pre["perplexity"] / pre["perplexity_bound"]
    gain = (ppo["reward"] - ppo["reward_start"]) / ppo["reward_start_std"]
    rubric = ppo["rubric"] - ppo["rubric_start"]
    fluency = ppo["answer_perplexity"] / ppo["answer_perplexity_start"]
    kept = scores["instruction_following_aligned"] / max(scores["instruction_following_finetuned"], 1e-9)
    found = {
        "perplexity falls by": (fall, fall >= 50),
        "perplexity over bound": (bound, bound <= 1.05),
        "following, base": (sft["instruction_following_start"], sft["instruction_following_start"] <= 0.10),
        "following, fine-tuned": (sft["instruction_following"], sft["instruction_following"] >= 0.90),
        "reward pair accuracy": (rew["pair_accuracy"], rew["pair_accuracy"] >= 0.85),
        "PPO reward gain in start deviations": (gain, gain >= 1),
        "PPO rubric gain": (rubric, rubric >= 0.5),
        "PPO KL, nats an answer": (ppo["kl"], ppo["kl"] <= 15),
        "perplexity of answers, ratio": (fluency, fluency <= 1.5),
        "following kept by PPO": (kept, kept >= 0.9),
    }
    probes = {name: value for name, value in rew.items() if name.startswith("probe_")}
    return found | {f"reward {name}": (value, value >= 0.7) for name, value in probes.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], help="changed setting, as in plumbline run"
    )
    parser.add_argument("--home", type=Path, help="keep the runs here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in options.seeds:
            home = (options.home or Path(scratch)) / f"seed-{seed}"
            runs.append(run(seed, home, options.changes))
    tables = [figures(item["metrics"]) for item in runs]
    print(f"{'figure':38}" + "".join(f"  seed {item['seed']}" for item in runs))
    for name in tables[0]:
        print(f"{name:38}" + "".join(f"{table[name][0]:7.3f}{' ' if table[name][1] else '!'}" for table in tables))
    for name in ("wall_s", "peak_gb"):
        print(f"{name:38}" + "".join(f"{item[name]:7.1f} " for item in runs))
    if options.json:
        rows = [
            {**{key: item[key] for key in ("seed", "wall_s", "peak_gb")}, **{k: v[0] for k, v in table.items()}}
            for item, table in zip(runs, tables, strict=True)
        ]
        met = {name: sum(table[name][1] for table in tables) / len(tables) for name in tables[0]}
        print(json.dumps({"seeds": options.seeds, "runs": rows, "met": met}))


if __name__ == "__main__":
    main()
