"""The reward stage: a scalar model of preference from K-way rankings, one batch element a prompt."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedTokenizerBase

from configs.schema.reward import RewardConfig
from tasks.chat import copy_tokenizer
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rankings import RankedPrompt, length_baseline, pair_accuracy, pairs, read_rankings
from tasks.reward.batches import bootstrap, encode_items, padded_tokens, shuffled_ranks
from tasks.reward.fit import Data, Place, Row, fit
from tasks.reward.judgement import headline, judge
from tasks.reward.measure import heldout_accuracy, normalised, score_members, world_probes
from tasks.reward.model import build, member_seed, prepare_tokenizer
from tasks.reward.save import save_model, write_ensemble, write_reading
from tasks.reward_network import AnyReward, Ensemble
from tasks.scoring import load_reward, member_folder


def train_reward(config: RewardConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Train on train.parquet, judge on heldout.parquet, write the model; returns the metrics.

    inputs.folders: ``base``, ``finetuned``, ``rankings``. Writes what ``load_reward`` reads, tokenizer files,
    training/curve.jsonl, judgement.json and probes.json. Raises BadData when a side holds no pair or a prompt is on
    both, Diverged when a loss or gradient is not finite, LostWorker when it was asked to stop.
    """
    accelerator = Accelerator()
    tokenizer, tokenizer_folder = prepare_tokenizer(config, inputs, live)
    train, heldout = _rankings(config, inputs.folders["rankings"])
    data = _encode(config, tokenizer, train, heldout)
    made = _train(config, accelerator, inputs, tokenizer, data, out, live)
    metrics: dict[str, Any] = {}
    if accelerator.is_main_process:
        model = _open(config, inputs, out).to(accelerator.device)
        _normalise(config, model, data, out)
        copy_tokenizer(tokenizer_folder, out)
        _write_curve(made.curve, out)
        metrics = _measure(config, model, tokenizer, data, out) | {
            "loss": statistics.fmean(row["loss"] for row in made.curve[-max(len(made.curve) // 10, 1) :]),
            "pair_accuracy_start": made.accuracy_start,
            "length_baseline": length_baseline(heldout),
            "prompts": len(train),
            "steps": len(made.curve),
            "oversized_prompts": sum(padded_tokens(prompt.rows) > config.tokens_per_pass for prompt in data.train),
            "unrated_rankings": sum(not ranking.ratings for item in train for ranking in item.rankings),
            "trainable_parameters": made.trainable,
        }
    accelerator.wait_for_everyone()
    return metrics


@dataclass(frozen=True)
class Made:
    """What training left behind: a row a step, held-out accuracy before it, weights that were trained."""

    curve: list[Row]
    accuracy_start: float
    trainable: int


def _rankings(config: RewardConfig, folder: Path) -> tuple[list[RankedPrompt], list[RankedPrompt]]:
    """Both sides; prompts without a pair teach nothing and are left out of training."""
    train, heldout = read_rankings(folder, "train"), read_rankings(folder, "heldout")
    both = {item.split_key for item in train} & {item.split_key for item in heldout}
    if both:
        raise BadData(
            f"{len(both)} prompts are in train.parquet and in heldout.parquet, the first is {min(both)[:80]}: held out "
            "is a prompt and never a pair; make the rankings with the rank stage"
        )
    train = [item for item in train if any(pairs(ranking) for ranking in item.ranks)]
    for side, items in (("train", train), ("heldout", heldout)):
        if not any(pairs(ranking) for item in items for ranking in item.ranks):
            raise BadData(f"{side}.parquet holds no pair, only ties: give more rankings, or change rank.heldout")
    if config.margin == "rating" and not any(ranking.ratings for item in train for ranking in item.rankings):
        raise BadData("train.parquet holds no ratings: set reward.margin to rank or none")
    return (shuffled_ranks(train, config.seed or 0) if config.shuffle_labels else train), heldout


def _encode(
    config: RewardConfig, tokenizer: PreTrainedTokenizerBase, train: list[RankedPrompt], heldout: list[RankedPrompt]
) -> Data:
    encoded = encode_items(tokenizer, train, config.max_length)
    if config.ensemble == "heads":
        encoded = bootstrap(encoded, config.members, config.seed or 0)
    return Data(encoded, encode_items(tokenizer, heldout, config.max_length), heldout, int(tokenizer.pad_token_id))


def _train(
    config: RewardConfig,
    accelerator: Accelerator,
    inputs: Inputs,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    out: Path,
    live: Live,
) -> Made:
    """Train one model, or the members of an ensemble of seeds one after another; save each."""
    count = config.members if config.ensemble == "seeds" else 1
    curve: list[Row] = []
    start, trainable = 0.0, 0
    for number in range(count):
        place = _place(config, number, count, live.work)
        built = build(config, inputs, tokenizer, place.seed)
        built.model.to(accelerator.device)
        if number == 0:
            start = heldout_accuracy(built.model, data.items, data.heldout, data.pad_id)
        trainable += sum(weight.numel() for weight in built.trainable.values())
        rows = fit(config, accelerator, built, data, place, live)
        curve += [{**row, "step": row["step"] + len(curve)} for row in rows] if number else rows
        if accelerator.is_main_process:
            folder = out if count == 1 else member_folder(out, number)
            save_model(built, tokenizer, config.base is not None, folder)
    if count > 1 and accelerator.is_main_process:
        write_ensemble(out, count)
    return Made(curve, start, trainable)


def _place(config: RewardConfig, number: int, count: int, work: Path) -> Place:
    folders = [member_folder(work, at) if count > 1 else work for at in range(count + 1)]
    passed = number + 1 < count and (folders[number + 1] / "checkpoints").exists()
    return Place(number, count, member_seed(config.seed or 0, number), folders[number] / "checkpoints", passed)


def _open(config: RewardConfig, inputs: Inputs, folder: Path) -> AnyReward:
    """The saved model, as every later stage opens it: what is judged is what is used."""
    if config.base is not None:
        return load_reward(folder)
    return load_reward(folder, base=inputs.folders["base"], finetuned=inputs.folders["finetuned"])


def _normalise(config: RewardConfig, model: AnyReward, data: Data, out: Path) -> None:
    """Take the constants on reference answers, into the model and into its folder."""
    model.set_constants(normalised(config, model, data.train, data.pad_id))
    for number, reading in enumerate(model.readings):
        write_reading(member_folder(out, number) if isinstance(model, Ensemble) else out, reading)


def _measure(
    config: RewardConfig, model: AnyReward, tokenizer: PreTrainedTokenizerBase, data: Data, out: Path
) -> dict[str, Any]:
    """Held-out accuracy and spread of the scores; judgement.json, and probes.json, empty without probes."""
    found = score_members(model, data.heldout, data.pad_id)
    mean = [[statistics.fmean(one) for one in row] for row in found]
    flat = [score for row in mean for score in row]
    judgement = judge(data.items, found, model.reading.std, config.seed or 0)
    probes: dict[str, dict[str, Any]] = {}
    if config.probes == "world":
        probes = world_probes(model, tokenizer, config.seed or 0, config.max_length)
    _write_json(out / "probes.json", probes)
    _write_json(out / "judgement.json", judgement)
    accuracy, count = pair_accuracy(data.items, mean)
    return {
        "pair_accuracy": accuracy,
        **headline(judgement),
        "heldout_pairs": count,
        "heldout_prompts": len({item.prompt_key for item in data.items}),
        "score_mean": statistics.fmean(flat),
        "score_std": statistics.pstdev(flat),
        **{f"probe_{attribute}": values["accuracy"] for attribute, values in probes.items()},
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def _write_curve(curve: list[Row], out: Path) -> None:
    (out / "training").mkdir()
    rows = [json.dumps(row) + "\n" for row in curve]
    (out / "training" / "curve.jsonl").write_text("".join(rows), encoding="utf-8")
