"""The reward stage: a scalar model of preference from K-way rankings, one batch element a prompt."""

import json
import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.reward import RewardConfig
from tasks.chat import load_tokenizer
from tasks.checkpoint import (
    StopRequest,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    restore_rng,
    rng_tensors,
    save_checkpoint,
)
from tasks.failures import BadData, Diverged, LostWorker
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rankings import RankedPrompt, length_baseline, pair_accuracy, pairs, read_rankings
from tasks.reward.batches import (
    EncodedPrompt,
    RankBatch,
    collate,
    encode_items,
    shuffled_ranks,
    step_prompts,
    steps_per_epoch,
)
from tasks.reward.losses import OBJECTIVES, beats, ranking_weights
from tasks.reward.measure import heldout_accuracy, mean_score, score_prompts, world_probes
from tasks.reward.model import build_reward_model, make_trainable
from tasks.schedule import adamw, warmup_cosine
from tasks.scoring import OFFSET, scores

LOOKS = 4  # times that the held-out accuracy is taken during training


def train_reward(config: RewardConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Train on train.parquet, measure on heldout.parquet, write the model; returns the metrics.

    Raises BadData when a side holds no pair, Diverged when a loss or gradient is not finite, LostWorker when stopped.
    """
    accelerator = Accelerator()
    torch.manual_seed(config.seed or 0)
    tokenizer = load_tokenizer(inputs.folders["finetuned"])
    train, heldout = _rankings(config, inputs.folders["rankings"])
    model = build_reward_model(inputs.folders["base"], inputs.folders["finetuned"], tokenizer, config.readout)
    trained, trainable = make_trainable(model.to(accelerator.device), config)
    data = Data(
        train=encode_items(tokenizer, train, config.max_length),
        heldout=encode_items(tokenizer, heldout, config.max_length),
        items=heldout,
        pad_id=int(tokenizer.pad_token_id),
    )
    start = heldout_accuracy(model, heldout, data.heldout, data.pad_id)
    curve = _train(config, Parts(accelerator, model, trained), data, live)
    if config.method == "lora":
        model = cast(PeftModel, trained).merge_and_unload()
    setattr(model.config, OFFSET, mean_score(model, data.train, data.pad_id))
    metrics = _measure(config, model, tokenizer, data, curve, accelerator, out)
    if accelerator.is_main_process:
        _save(model, tokenizer, curve, out)
    return {
        **metrics,
        "pair_accuracy_start": start,
        "length_baseline": length_baseline(heldout),
        "prompts": len(train),
        "steps": len(curve),
        "trainable_parameters": trainable,
    }


@dataclass(frozen=True)
class Data:
    """Encoded prompts of both sides; ``items`` are the held-out ones as they were read."""

    train: list[EncodedPrompt]
    heldout: list[EncodedPrompt]
    items: list[RankedPrompt]
    pad_id: int


@dataclass(frozen=True)
class Parts:
    """What a step works on. model gives the scores; trained is the same, or the adapter around it."""

    accelerator: Accelerator
    model: PreTrainedModel
    trained: nn.Module

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.trained.named_parameters() if weight.requires_grad}


def _rankings(config: RewardConfig, folder: Path) -> tuple[list[RankedPrompt], list[RankedPrompt]]:
    """Both sides; prompts without a pair teach nothing and are left out of training."""
    train, heldout = read_rankings(folder, "train"), read_rankings(folder, "heldout")
    train = [item for item in train if any(pairs(ranking) for ranking in item.ranks)]
    for side, items in (("train", train), ("heldout", heldout)):
        if not any(pairs(ranking) for item in items for ranking in item.ranks):
            raise BadData(f"{side}.parquet holds no pair, only ties: give more rankings, or change rank.heldout")
    return (shuffled_ranks(train, config.seed or 0) if config.shuffle_labels else train), heldout


def _train(config: RewardConfig, parts: Parts, data: Data, live: Live) -> list[dict[str, float]]:
    """All steps, from the newest sound checkpoint on. Returns one row a step."""
    per_epoch = steps_per_epoch(len(data.train), config.prompts_per_step)
    steps = config.epochs * per_epoch
    looks = {steps * look // LOOKS for look in range(1, LOOKS + 1)}
    optimizer = adamw(list(parts.weights.values()), config.optimizer)
    folder = live.work / "checkpoints"
    curve = _resume(folder, parts, optimizer)
    live.start_at(len(curve), "steps")
    began, tokens = time.monotonic(), 0
    with StopRequest() as stop:
        for step in range(len(curve), steps):
            rate = config.optimizer.learning_rate * warmup_cosine(
                step, steps, config.optimizer.warmup_steps, config.optimizer.min_rate
            )
            chosen = step_prompts(step, len(data.train), config.prompts_per_step, config.seed or 0)
            mine = chosen[parts.accelerator.process_index :: parts.accelerator.num_processes]
            batch = collate([data.train[index] for index in mine], data.pad_id) if mine else None
            row = _step(config, parts, optimizer, batch, rate, step + 1)
            if step + 1 in looks:
                row["heldout_accuracy"] = heldout_accuracy(parts.model, data.items, data.heldout, data.pad_id)
            curve.append(row)
            tokens += int(batch.lengths_B.sum()) if batch else 0
            stopping = stop.agreed()
            if (step + 1) % config.checkpoint.every == 0 or step + 1 == steps or stopping:
                _checkpoint(folder, parts, optimizer, curve, config.checkpoint.keep)
            if stopping:
                raise LostWorker(f"reward was asked to stop; step {step + 1} is saved")
            live.progress(step + 1, steps, "steps", **_shown(row), tok_s=tokens / max(time.monotonic() - began, 1e-9))
    return curve


def _step(
    config: RewardConfig,
    parts: Parts,
    optimizer: torch.optim.Optimizer,
    batch: RankBatch | None,
    rate: float,
    step: int,
) -> dict[str, float]:
    """One optimiser step on this process's prompts. A process without prompts joins with zeros."""
    parts.trained.train()
    device = parts.accelerator.device
    total, counts = (torch.zeros(size, device=device) for size in ((), 3))
    if batch is not None:
        total, counts = _forward(config, parts, batch.to(device))
    # The mean is over the prompts of all processes, whatever their shards hold
    sums = parts.accelerator.reduce(torch.cat([total.detach()[None], counts]), "sum").tolist()
    loss = sums[0] / max(sums[3], 1)
    if batch is not None:
        (total / max(sums[3], 1)).backward()
    norm = _clip(parts, config.optimizer.clip)
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise Diverged(
            f"reward step {step}: loss {loss}, gradient norm {norm}; "
            f"lower reward.optimizer.learning_rate (now {config.optimizer.learning_rate})"
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"step": step, "loss": loss, "accuracy": sums[1] / max(sums[2], 1), "lr": rate, "grad_norm": norm}


def _forward(config: RewardConfig, parts: Parts, batch: RankBatch) -> tuple[Tensor, Tensor]:
    """Summed loss of the prompts; [pairs ordered right, pairs, prompts that have a pair]."""
    with torch.autocast("cuda", torch.bfloat16, enabled=batch.ids_BT.device.type == "cuda"):
        scores_RK = scores(parts.model, batch.ids_BT, batch.start_B, batch.lengths_B)[batch.candidate_RK]
    weight_R, prompts = ranking_weights(batch.ranks_RK, batch.prompt_R)
    total = (weight_R * OBJECTIVES[config.objective](scores_RK, batch.ranks_RK)).sum()
    beats_RKK = beats(batch.ranks_RK)
    gap_RKK = (scores_RK[:, :, None] - scores_RK[:, None, :]).detach()
    right = ((gap_RKK > 0).float() + 0.5 * (gap_RKK == 0).float())[beats_RKK].sum()
    counts = torch.tensor([float(right), float(beats_RKK.sum()), float(prompts)], device=total.device)
    return total, counts


def _clip(parts: Parts, limit: float) -> float:
    """Sum the gradients over all processes, clip them together; their norm before clipping."""
    weights = list(parts.weights.values())
    if parts.accelerator.num_processes > 1:
        for weight in weights:
            grad = weight.grad if weight.grad is not None else torch.zeros_like(weight)
            weight.grad = parts.accelerator.reduce(grad, "sum")
    return float(nn.utils.clip_grad_norm_(weights, limit))


def _checkpoint(
    folder: Path, parts: Parts, optimizer: torch.optim.Optimizer, curve: list[dict[str, float]], keep: int
) -> None:
    if not parts.accelerator.is_main_process:
        return
    tensors = {f"weight.{name}": weight.detach() for name, weight in parts.weights.items()}
    moments, values = optimizer_tensors(optimizer, "optimizer")
    save_checkpoint(folder, len(curve), tensors | moments | rng_tensors(), {"curve": curve, "optimizer": values}, keep)


def _resume(folder: Path, parts: Parts, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
    """Restore weights, optimiser and generators; the rows of the steps that are done."""
    checkpoint = load_checkpoint(folder)
    if checkpoint is None:
        return []
    with torch.no_grad():
        for name, weight in parts.weights.items():
            weight.copy_(checkpoint.tensors[f"weight.{name}"])
    restore_optimizer(optimizer, checkpoint.tensors, checkpoint.values["optimizer"], "optimizer")
    restore_rng(checkpoint.tensors)
    return list(checkpoint.values["curve"])


def _measure(
    config: RewardConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    curve: list[dict[str, float]],
    accelerator: Accelerator,
    out: Path,
) -> dict[str, Any]:
    """Held-out accuracy and spread of the scores; probes.json, empty without probes."""
    found = score_prompts(model, data.heldout, data.pad_id)
    accuracy, count = pair_accuracy(data.items, found)
    flat = [score for row in found for score in row]
    probes: dict[str, dict[str, Any]] = {}
    if config.probes == "world":
        probes = world_probes(model, tokenizer, config.seed or 0, config.max_length)
    if accelerator.is_main_process:
        (out / "probes.json").write_text(json.dumps(probes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    tail = curve[-max(len(curve) // 10, 1) :]
    return {
        "pair_accuracy": accuracy,
        "heldout_pairs": count,
        "heldout_prompts": len({item.prompt_key for item in data.items}),
        "loss": statistics.fmean(row["loss"] for row in tail),
        "score_mean": statistics.fmean(flat),
        "score_std": statistics.pstdev(flat),
        **{f"probe_{attribute}": values["accuracy"] for attribute, values in probes.items()},
    }


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, curve: list[dict[str, float]], out: Path) -> None:
    model.eval()
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    (out / "training").mkdir()
    rows = [json.dumps(row) + "\n" for row in curve]
    (out / "training" / "curve.jsonl").write_text("".join(rows), encoding="utf-8")


def _shown(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "step"}
