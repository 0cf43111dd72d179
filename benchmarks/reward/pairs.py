"""K-way training of the reward model beside the same rankings exploded into pairs for TRL's RewardTrainer.

    python benchmarks/reward/pairs.py [--json] [--k 10] [--prompts 176] [--seeds 3] [--method full|lora] [--no-shuffle]
                                      [--data FILE --base BASE] [--home FOLDER]

The start model comes from the project's own stages (a short quickstart, about a minute). Candidates are the small
world's, ranked by their manner: a polite opening and a friendly close, of equally polite ones the shorter first, so
that ten candidates give 45 pairs of which a score at the last token can learn nine in ten. With --data the rankings
of a file are taken as they come, and with --base the model that `pretrain.base` would name (package:…, a folder);
rows with fewer than --k candidates are left out. Every run is a process of its own, ours and the peer's in
alternation, on one thread, in float32, from the same weights, over the same prompts, epochs, optimiser, schedule and
steps; data preparation and imports are not timed. The peer draws the pairs of all prompts at random, as it does by
default. With --no-shuffle a step of the peer is all pairs of the prompts of our step: the same gradient, so
accuracies must agree.
Last line with --json: {"ratio" of the medians of prompts per second, "cpu_ratio" of prompts per CPU second,
"ours_accuracy", "peer_accuracy" means over the seeds on held-out pairs, "memory_ratio" and "inverse_memory" (1/GB,
our peak), …, values of each seed, load averages, versions}.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from chain import run_stages

from tasks.rankings import RankedPrompt, length_baseline, pairs, read_rankings, write_rankings
from tasks.run import open_store
from tasks.world.rubric import read

ROOT = Path(__file__).resolve().parents[2]
SHORT = [  # a small but real start: it has seen the world's stories and its requests
    "world.stories=4000", "world.instructions=1200", "pretrain.steps=250", "finetune.steps=100", "finetune.heldout=8",
]  # fmt: skip
GIVEN = ["tokenizer.base={base}", "pretrain.base={base}", "pretrain.steps=0", "pretrain.heldout_documents=2"]
RANKED = 400  # rankings drawn; another number of prompts out of these leaves the start model as it is
HELDOUT = 4  # prompts that the stage looks at while it trains: the peer does not look at all
MICRO = 15  # pairs of one pass of the peer: 4 to 16 are equally fast here, 45 is 3 % slower


def prepare(options: argparse.Namespace, home: Path) -> dict[str, Path]:
    """Folders of the start model and of all rankings, split by prompt."""
    asked = options.prompts + options.heldout
    changes = [*SHORT, f"world.candidates={options.k}", f"world.ranked_prompts={max(asked, RANKED)}"]
    share = options.heldout / asked
    changes += ["candidates=null", "rank.ranker=null", f"rank.heldout={share}"]
    names = ["world", "corpus", "tokenizer", "pretrain", "finetune", "rank"]
    if options.base:
        changes += [change.format(base=options.base) for change in GIVEN]
    if options.data:
        changes += [f"rank.sources=[{{path: {Path(options.data).resolve()}}}]"]
    refs = run_stages("quickstart", changes, names, home)
    store = open_store()
    folders = {"base": store.open(refs["pretrain"]), "finetuned": store.open(refs["finetune"])}
    ranked = store.open(refs["rank"])
    wanted = {"train": options.prompts, "heldout": options.heldout}
    chosen = {side: list(_usable(ranked, side, options.k, count)) for side, count in wanted.items()}
    if not options.data:
        chosen = {side: [_by_manner(item) for item in items] for side, items in chosen.items()}
    for name, heldout in (("rankings", chosen["heldout"][:HELDOUT]), ("heldout", chosen["heldout"])):
        folders[name] = home / name
        folders[name].mkdir(exist_ok=True)
        write_rankings(folders[name], "train", chosen["train"])
        write_rankings(folders[name], "heldout", heldout)
    return folders


def _usable(folder: Path, side: Any, k: int, most: int) -> Iterator[RankedPrompt]:
    """Prompts of at least ``k`` candidates, all but the first ``k`` left out, that have a pair."""
    found = 0
    for item in read_rankings(folder, side):
        if found == most:
            return
        if len(item.candidates) < k:
            continue
        first = list(range(k))
        rankings = [ranking.take(first) for ranking in item.rankings]
        if any(pairs(ranking.ranks) for ranking in rankings):
            found += 1
            yield RankedPrompt(item.prompt, item.candidates[:k], rankings, item.models[:k])


def _by_manner(item: RankedPrompt) -> RankedPrompt:
    """Ranked by courtesies, then the shorter first, then by the alphabet: no ties.

    What the world's own rubric asks for, agreement with the prompt, a score at the last token does not learn in a
    minute (.63 of pairs, length alone .57): two sides that learnt nothing could not be told apart.
    """
    found = [read(text) for text in item.candidates]
    keys = [(-(one.opening + one.close), len(text), text) for one, text in zip(found, item.candidates, strict=True)]
    return replace(item, rankings=[replace(item.rankings[0], ranks=[1 + sorted(keys).index(key) for key in keys])])


def run(side: str, spec: dict[str, Any], home: Path) -> dict[str, Any]:
    """One training in a process of its own."""
    with tempfile.TemporaryDirectory(dir=home) as work:
        path = Path(work) / "spec.json"
        path.write_text(json.dumps(spec | {"work": work}), encoding="utf-8")
        command = [sys.executable, str(Path(__file__).with_name("pairs_sides.py")), side, str(path)]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    load = os.getloadavg()[0]
    print(
        f"  {side} seed {spec['reward']['seed']}: {found['prompts'] / found['seconds']:7.2f} prompts/s "
        f"{found['prompts'] / found['cpu']:7.2f} prompts/CPU-s  accuracy {found['accuracy']:.4f}  "
        f"peak {found['peak_mb']:.0f} MB ({found['train_mb']:.0f} in training)  load {load:.1f}",
        flush=True,
    )
    return found | {"load": round(load, 2)}


def compare(options: argparse.Namespace, folders: dict[str, Path], home: Path) -> dict[str, Any]:
    """All seeds, in alternation: the side that begins changes from seed to seed."""
    results: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for seed in range(options.seeds):
        reward = {
            "method": options.method,
            "readout": "last",
            "epochs": options.epochs,
            "prompts_per_step": options.prompts_per_step,
            "max_length": options.max_length,
            "optimizer": {"learning_rate": options.learning_rate, "warmup_steps": options.warmup},
            "checkpoint": {"every": 100_000},
            "seed": seed,
        }
        spec = {name: str(folder) for name, folder in folders.items()} | {"reward": reward, "micro": options.micro}
        spec |= {"shuffle": options.shuffle}
        for side in ("ours", "peer") if seed % 2 == 0 else ("peer", "ours"):
            results[side].append(run(side, spec, home))
    return results


def summary(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Ratios of medians over the seeds, mean accuracies, memory."""

    def middle(side: str, name: str) -> float:
        return statistics.median(row[name] for row in results[side])

    accuracy = {side: statistics.fmean(row["accuracy"] for row in rows) for side, rows in results.items()}
    return {
        "ratio": middle("peer", "seconds") / middle("ours", "seconds"),
        "cpu_ratio": middle("peer", "cpu") / middle("ours", "cpu"),
        "ours_accuracy": accuracy["ours"],
        "peer_accuracy": accuracy["peer"],
        "accuracy_ratio": accuracy["ours"] / accuracy["peer"],
        "ours_prompts_s": results["ours"][0]["prompts"] / middle("ours", "seconds"),
        "peer_prompts_s": results["peer"][0]["prompts"] / middle("peer", "seconds"),
        "ours_peak_mb": middle("ours", "peak_mb"),
        "peer_peak_mb": middle("peer", "peak_mb"),
        "ours_train_mb": middle("ours", "train_mb"),
        "peer_train_mb": middle("peer", "train_mb"),
        "memory_ratio": middle("peer", "peak_mb") / middle("ours", "peak_mb"),
        "inverse_memory": 1000 / middle("ours", "peak_mb"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--k", type=int, default=10, help="candidates of a prompt")
    parser.add_argument("--prompts", type=int, default=176, help="to train on")
    parser.add_argument("--heldout", type=int, default=100, help="prompts held out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--method", default="full", choices=("full", "lora"))
    parser.add_argument("--prompts-per-step", type=int, default=8)
    parser.add_argument("--max-length", type=int, default=256, help="tokens")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=4, help="steps")
    parser.add_argument("--micro", type=int, default=MICRO, help="pairs of one pass of the peer")
    parser.add_argument(
        "--shuffle",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the peer draws pairs of all prompts, as it does by default",
    )
    parser.add_argument("--data", help="file of rankings instead of the small world's")
    parser.add_argument("--base", help="a given base model instead of the small one")
    parser.add_argument("--home", type=Path, help="keeps the start model; a temporary folder when empty")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (options.home or Path(folder)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        folders = prepare(options, home)
        train, heldout = read_rankings(folders["heldout"], "train"), read_rankings(folders["heldout"], "heldout")
        data = {
            "k": options.k,
            "prompts": len(train),
            "heldout_prompts": len(heldout),
            "pairs_a_prompt": sum(len(pairs(r)) for item in train for r in item.ranks) / len(train),
            "length_baseline": length_baseline(heldout),
        }
        print("  ".join(f"{name} {value:.4g}" for name, value in data.items()), flush=True)
        results = compare(options, folders, home)
    found = summary(results)
    print("  ".join(f"{name} {value:.4g}" for name, value in found.items()))
    if options.json:
        versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl", "peft")}
        about = {
            "method": options.method,
            "shuffle": options.shuffle,
            "micro": options.micro,
            "load": os.getloadavg(),
            "versions": versions,
        }
        print(json.dumps(found | data | about | {"seeds": results}))


if __name__ == "__main__":
    main()
