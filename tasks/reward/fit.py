"""Training of one reward model: steps over K-way rankings, each candidate once, resumable to the bit."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recomputed

from configs.schema.reward import RewardConfig
from tasks.checkpoint import (
    StopRequest,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    restore_rng,
    rng_tensors,
    save_checkpoint,
)
from tasks.failures import Diverged, LostWorker
from tasks.live import Live
from tasks.rankings import RankedPrompt
from tasks.reward.batches import (
    EncodedPrompt,
    RankBatch,
    collate,
    has_pair,
    passes,
    row_parts,
    step_prompts,
    steps_per_epoch,
)
from tasks.reward.losses import Objective, ordered, ranking_loss
from tasks.reward.measure import heldout_accuracy
from tasks.reward.model import Built
from tasks.reward_network import RewardNetwork
from tasks.schedule import adamw, warmup_cosine

LOOKS = 4  # times that the held-out accuracy is taken during training
Row = dict[str, float]


@dataclass(frozen=True)
class Data:
    """Encoded prompts of both sides; ``items`` are the held-out ones as they were read."""

    train: list[EncodedPrompt]
    heldout: list[EncodedPrompt]
    items: list[RankedPrompt]
    pad_id: int


@dataclass(frozen=True)
class Place:
    """Which training of how many this is; its seed, its checkpoints, and whether the next one has begun already."""

    number: int
    members: int
    seed: int
    checkpoints: Path
    passed: bool


@dataclass(frozen=True)
class Parts:
    """What a step works on."""

    config: RewardConfig
    accelerator: Accelerator
    model: RewardNetwork
    weights: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    objective: Objective
    pad_id: int


def fit(
    config: RewardConfig, accelerator: Accelerator, built: Built, data: Data, place: Place, live: Live
) -> list[Row]:
    """All steps, from the newest sound checkpoint on. Returns one row a step.

    Raises Diverged when a loss or gradient is not finite, LostWorker when it was asked to stop.
    """
    model = built.model.to(accelerator.device)
    weights = built.trainable
    optimizer = adamw(list(weights.values()), config.optimizer)
    parts = Parts(config, accelerator, model, weights, optimizer, objective_of(config), data.pad_id)
    steps = config.epochs * steps_per_epoch(len(data.train), config.prompts_per_step)
    looks = {steps * look // LOOKS for look in range(1, LOOKS + 1)}
    curve = _resume(place.checkpoints, parts)
    before, total = place.number * steps, place.members * steps
    if not place.passed:
        live.start_at(before + len(curve), "steps")
    began, tokens = time.monotonic(), 0
    with StopRequest() as stop:
        for step in range(len(curve), steps):
            chosen = step_prompts(step, len(data.train), config.prompts_per_step, place.seed)
            mine = [data.train[index] for index in chosen[accelerator.process_index :: accelerator.num_processes]]
            row = _step(parts, mine, step, steps)
            if step + 1 in looks:
                row["heldout_accuracy"] = heldout_accuracy(model, data.items, data.heldout, data.pad_id)
            curve.append(row)
            tokens += sum(len(answer.ids) for prompt in mine for answer in prompt.rows)
            stopping = stop.agreed()
            if (step + 1) % config.checkpoint.every == 0 or step + 1 == steps or stopping:
                _checkpoint(place.checkpoints, parts, curve)
            if stopping:
                raise LostWorker(f"reward was asked to stop; step {before + step + 1} is saved")
            shown = {name: value for name, value in row.items() if name != "step"}
            pace = tokens / max(time.monotonic() - began, 1e-9)
            live.progress(before + step + 1, total, "steps", **shown, tok_s=pace)
    return curve


def objective_of(config: RewardConfig) -> Objective:
    """The settings that say what is minimised."""
    return Objective(config.objective, config.margin, config.margin_scale, config.centre, config.label_smoothing)


def _step(parts: Parts, prompts: list[EncodedPrompt], step: int, steps: int) -> Row:
    """One optimiser step on this process's prompts. A process without prompts joins with zeros."""
    optimizer, config = parts.optimizer, parts.config.optimizer
    parts.model.train()
    # The mean is over the prompts of all processes, whatever their shards hold
    usable = float(sum(any(has_pair(ranking.ranks) for ranking in prompt.rankings) for prompt in prompts))
    count = max(_sum(parts, [usable])[0], 1.0)
    sums = [0.0, 0.0, 0.0]
    for group in passes(prompts, parts.config.tokens_per_pass):
        found = _pass(parts, collate(group, parts.pad_id).to(parts.accelerator.device), count)
        sums = [mine + more for mine, more in zip(sums, found, strict=True)]
    total, right, pairs = _sum(parts, sums)
    loss, norm = total / count, _clip(parts, config.clip)
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise Diverged(
            f"reward step {step + 1}: loss {loss}, gradient norm {norm}; "
            f"lower reward.optimizer.learning_rate (now {config.learning_rate})"
        )
    rate = config.learning_rate * warmup_cosine(step, steps, config.warmup_steps, config.min_rate)
    for group_settings in optimizer.param_groups:
        group_settings["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"step": step + 1, "loss": loss, "accuracy": right / max(pairs, 1), "lr": rate, "grad_norm": norm}


def _sum(parts: Parts, values: list[float]) -> list[float]:
    """Over all processes."""
    tensor = torch.tensor(values, device=parts.accelerator.device)
    return list(parts.accelerator.reduce(tensor, "sum").tolist())


def _pass(parts: Parts, batch: RankBatch, prompts: float) -> list[float]:
    """Add the gradient of one pass. Returns its summed loss, its pairs ordered rightly, and its pairs."""
    score_BM = pass_scores(parts.model, batch, parts.config.tokens_per_pass)
    total = ranking_loss(score_BM, batch, parts.objective)
    (total / prompts).backward()
    right, pairs = ordered(score_BM, batch)
    return [float(total.detach()), right, float(pairs)]


def pass_scores(model: RewardNetwork, batch: RankBatch, most: int) -> Tensor:
    """Raw scores [B, M] of all candidates of a pass.

    More than ``most`` padded tokens are computed in parts whose inner states are thrown away and computed again in
    the backward pass, dropout included: the same loss and gradient in the memory of one part (Chen et al. 2016).
    """
    with torch.autocast("cuda", torch.bfloat16, enabled=batch.ids_BT.device.type == "cuda"):
        if batch.ids_BT.numel() <= most:
            return model(batch.ids_BT, batch.start_B, batch.lengths_B)
        lengths: list[int] = batch.lengths_B.tolist()
        parts = [
            (batch.ids_BT[rows, : max(lengths[rows])], batch.start_B[rows], batch.lengths_B[rows])
            for rows in row_parts(lengths, most)
        ]
        return torch.cat([recomputed(model, *part, use_reentrant=False) for part in parts])


def _clip(parts: Parts, limit: float) -> float:
    """Sum the gradients over all processes, clip them together; their norm before clipping."""
    weights = list(parts.weights.values())
    if parts.accelerator.num_processes > 1:
        for weight in weights:
            grad = weight.grad if weight.grad is not None else torch.zeros_like(weight)
            weight.grad = parts.accelerator.reduce(grad, "sum")
    return float(nn.utils.clip_grad_norm_(weights, limit))


def _checkpoint(folder: Path, parts: Parts, curve: list[Row]) -> None:
    if not parts.accelerator.is_main_process:
        return
    tensors = {f"weight.{name}": weight.detach() for name, weight in parts.weights.items()}
    moments, values = optimizer_tensors(parts.optimizer, "optimizer")
    kept = {"curve": curve, "optimizer": values}
    save_checkpoint(folder, len(curve), tensors | moments | rng_tensors(), kept, parts.config.checkpoint.keep)


def _resume(folder: Path, parts: Parts) -> list[Row]:
    """Restore weights, optimiser and generators; the rows of the steps that are done."""
    checkpoint = load_checkpoint(folder)
    if checkpoint is None:
        return []
    with torch.no_grad():
        for name, weight in parts.weights.items():
            weight.copy_(checkpoint.tensors[f"weight.{name}"])
    restore_optimizer(parts.optimizer, checkpoint.tensors, checkpoint.values["optimizer"], "optimizer")
    restore_rng(checkpoint.tensors)
    return list(checkpoint.values["curve"])
