"""The pretrain stage: rows of tokens, a model, a loop, perplexity before and after."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.pretrain import PretrainConfig
from tasks.chat import copy_tokenizer, load_tokenizer
from tasks.checkpoint import (
    Checkpoint,
    StopRequest,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    restore_rng,
    rng_tensors,
    save_checkpoint,
)
from tasks.corpus_shards import read_shards
from tasks.curve import Curve
from tasks.failures import BadConfig, Diverged, LostWorker
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.order import DataOrder
from tasks.perplexity import perplexity
from tasks.pretrain.attention import expect_reset, places
from tasks.pretrain.baseline import ngram_perplexity
from tasks.pretrain.heldout import Heldout, read_heldout
from tasks.pretrain.model import NextTokenLoss, lay_out, start_model
from tasks.pretrain.packing import training_shards
from tasks.pretrain.tokens import TokenRows, token_rows
from tasks.schedule import adamw, warmup_cosine


def pretrain(config: PretrainConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Train a causal language model on the corpus, or take a given base over (``steps: 0``).

    Loss: nats over all predicted tokens of a step, averaged by tokens over all processes. Metrics: perplexity of
    held-out documents per token before and after, with the bound where the corpus knows it, and that of an n-gram
    model of the training tokens; tokens seen.
    Raises Diverged when a loss or gradient is not finite, BadData when the corpus is empty.
    """
    accelerator = _accelerator()
    if config.batch < accelerator.num_processes:
        raise BadConfig(f"pretrain.batch={config.batch} is less than the {accelerator.num_processes} processes")
    corpus, tokenizer = inputs.folders["corpus"], load_tokenizer(inputs.folders["tokenizer"])
    heldout = read_heldout(read_shards(corpus, "heldout"), tokenizer, config.heldout_documents, config.context)
    model = start_model(config, tokenizer, _seed(config)).to(accelerator.device)
    run, rows = Training(Curve(config.steps)), None
    if config.steps:
        if _resets(config):
            expect_reset(model)
        rows = _open_rows(config, corpus, tokenizer, live, accelerator)
        run = _train(config, model, rows, heldout, tokenizer, live, accelerator)
    metrics = _measure(config, model, heldout, rows, tokenizer, run) if accelerator.is_main_process else {}
    if accelerator.is_main_process:
        model.save_pretrained(out)
        copy_tokenizer(inputs.folders["tokenizer"], out)
        run.curve.write(out)
    accelerator.wait_for_everyone()
    return metrics


@dataclass
class Training:
    """What a run knows beside its weights; goes into every checkpoint."""

    curve: Curve
    step: int = 0
    tokens: int = 0
    perplexity_start: float | None = None


def _accelerator() -> Accelerator:
    # bfloat16 is slower than float32 on a CPU
    cuda = torch.cuda.is_available()
    return Accelerator(mixed_precision="bf16" if cuda else "no", cpu=not cuda)


def _seed(config: PretrainConfig) -> int:
    return config.seed or 0


def _resets(config: PretrainConfig) -> bool:
    return config.attention == "document" and config.rows == "packed"  # a row that is one document needs no reset


def _open_rows(
    config: PretrainConfig, corpus: Path, tokenizer: PreTrainedTokenizerBase, live: Live, accelerator: Accelerator
) -> TokenRows:
    """The first process encodes the corpus, the others wait and open what it wrote."""
    with accelerator.main_process_first():
        rows = token_rows(
            live.work / "tokens",
            tokenizer,
            training_shards(corpus),
            config.rows,
            config.context,
            threads=torch.get_num_threads(),
            say=live.say,
        )
    live.say(f"{len(rows)} rows, {len(rows.ids)} tokens, {config.steps * config.batch / len(rows):.2f} epochs")
    if rows.cut:
        live.say(f"{rows.cut} documents are cut at pretrain.context={config.context} tokens")
    return rows


def _train(
    config: PretrainConfig,
    model: PreTrainedModel,
    rows: TokenRows,
    heldout: Heldout,
    tokenizer: PreTrainedTokenizerBase,
    live: Live,
    accelerator: Accelerator,
) -> Training:
    optimizer = adamw(model, config.optimizer)
    folder = live.work / "checkpoints"
    run = _resume(load_checkpoint(folder), config, model, optimizer)
    pad_id = int(tokenizer.pad_token_id)
    if run.perplexity_start is None and accelerator.is_main_process:
        run.perplexity_start = perplexity(model, heldout.rows, pad_id)
    # a taken-over base may scale or cap its logits, so it computes them itself
    loss_of = NextTokenLoss(model.train(), plain_head=config.base is None)
    loss_of, optimizer = accelerator.prepare(loss_of, optimizer)
    order = DataOrder(len(rows), config.batch, _seed(config))
    live.start_at(run.step, "steps")
    clock = Clock(run.tokens)
    with StopRequest() as stop:
        while run.step < config.steps:
            chosen = order.step(run.step)
            mine = chosen[accelerator.process_index :: accelerator.num_processes]
            tokens = rows.predicted(chosen)
            values = _step(config, loss_of, optimizer, _batch(config, rows, mine, pad_id), tokens, run, accelerator)
            run.step, run.tokens = run.step + 1, run.tokens + tokens
            run.curve.add(run.step, **values)
            stopping = stop.agreed()
            due = run.step % config.checkpoint.every == 0 or run.step == config.steps or stopping
            if due and accelerator.is_main_process:
                _save(folder, model, optimizer, run, config.checkpoint.keep)
            if stopping:
                raise LostWorker(f"pretrain was asked to stop; step {run.step} is saved")
            live.progress(run.step, config.steps, "steps", **values, tok_s=clock.rate(run.tokens))
    model.eval()
    return run


def _batch(config: PretrainConfig, rows: TokenRows, chosen: list[int], pad_id: int) -> tuple[torch.Tensor, ...]:
    """ids, targets, and places within documents where attention is reset between them."""
    ids_BT, target_BT = lay_out([rows.row(index) for index in chosen], pad_id, config.context)
    if not _resets(config):
        return ids_BT, target_BT
    return ids_BT, target_BT, places([rows.documents(index) for index in chosen], ids_BT.shape[1])


class Clock:
    """Tokens a second since this attempt began."""

    def __init__(self, tokens: int) -> None:
        self._tokens, self._began = tokens, time.monotonic()

    def rate(self, tokens: int) -> float:
        return round((tokens - self._tokens) / max(time.monotonic() - self._began, 1e-9), 1)


def _step(
    config: PretrainConfig,
    loss_of: torch.nn.Module,
    optimizer: Any,
    batch: tuple[torch.Tensor, ...],
    tokens: int,
    run: Training,
    accelerator: Accelerator,
) -> dict[str, float]:
    """One optimiser step on this process's part of the batch; ``tokens``: predicted ones over all processes."""
    settings = config.optimizer
    rate = settings.learning_rate * warmup_cosine(run.step, config.steps, settings.warmup_steps, settings.min_rate)
    for group in optimizer.param_groups:
        group["lr"] = rate
    nats = loss_of(*(tensor.to(accelerator.device) for tensor in batch))
    # distributed gradients are averaged over processes, ours is a sum over them divided by the tokens of all
    accelerator.backward(nats * accelerator.num_processes / tokens)
    norm = accelerator.clip_grad_norm_(loss_of.parameters(), settings.clip)
    loss = float(accelerator.reduce(nats.detach(), "sum")) / tokens
    if not (math.isfinite(loss) and math.isfinite(float(norm))):
        raise Diverged(
            f"pretrain: at step {run.step + 1} the loss is {loss} and the gradient norm {float(norm)}; lower "
            f"pretrain.optimizer.learning_rate={settings.learning_rate} or raise "
            f"pretrain.optimizer.warmup_steps={settings.warmup_steps}"
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"loss": loss, "lr": rate, "grad_norm": float(norm)}


def _save(folder: Path, model: PreTrainedModel, optimizer: Any, run: Training, keep: int) -> None:
    tensors, state = optimizer_tensors(optimizer, "optimizer")
    weights = {f"model.{name}": param for name, param in model.named_parameters()}
    values = {
        "tokens": run.tokens,
        "perplexity_start": run.perplexity_start,
        "curve": run.curve.state(),
        "optimizer": state,
    }
    save_checkpoint(folder, run.step, {**weights, **tensors, **rng_tensors()}, values, keep)


def _resume(
    checkpoint: Checkpoint | None, config: PretrainConfig, model: PreTrainedModel, optimizer: torch.optim.Optimizer
) -> Training:
    """A fresh start, or the state of a checkpoint put into model and optimiser."""
    if checkpoint is None:
        return Training(Curve(config.steps))
    values = checkpoint.values
    saved = checkpoint.part("model")
    with torch.no_grad():
        for name, param in model.named_parameters():
            param.copy_(saved[name])
    restore_optimizer(optimizer, checkpoint.tensors, values["optimizer"], "optimizer")
    restore_rng(checkpoint.tensors)
    return Training(Curve(config.steps, values["curve"]), checkpoint.step, values["tokens"], values["perplexity_start"])


def _measure(
    config: PretrainConfig,
    model: PreTrainedModel,
    heldout: Heldout,
    rows: TokenRows | None,
    tokenizer: PreTrainedTokenizerBase,
    run: Training,
) -> dict[str, Any]:
    reached = perplexity(model, heldout.rows, int(tokenizer.pad_token_id))
    metrics = {
        "perplexity_start": reached if run.perplexity_start is None else run.perplexity_start,
        "perplexity": reached,
        "tokens_seen": run.tokens,
        "parameters": sum(param.numel() for param in model.parameters()),
        "heldout_documents": len(heldout.rows),
    }
    if heldout.bound is not None:
        metrics |= {"perplexity_bound": heldout.bound, "perplexity_ratio": reached / heldout.bound}
    if rows is not None and config.ngram_order:
        metrics["perplexity_ngram"] = ngram_perplexity(config, rows, heldout, len(tokenizer))
    return metrics
