"""TRL's SFTTrainer, set up to be silent, exactly resumable, and to learn in an order that is given."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from peft import PeftModel
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from configs.schema.finetune import FinetuneConfig
from tasks.checkpoint import (
    Checkpoint,
    StopRequest,
    optimizer_tensors,
    restore_optimizer,
    restore_rng,
    rng_tensors,
    save_checkpoint,
)
from tasks.curve import Curve
from tasks.failures import BadConfig, Diverged, LostWorker
from tasks.finetune.examples import Example
from tasks.live import Live
from tasks.order import DataOrder
from tasks.schedule import adamw, warmup_cosine


@dataclass
class Progress:
    """Where a run is, beside its weights; goes into every checkpoint."""

    curve: Curve
    start: dict[str, Any]  # measured before the first step
    step: int = 0


def train(
    config: FinetuneConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: list[Example],
    checkpoint: Checkpoint | None,
    progress: Progress,
    live: Live,
) -> None:
    """Train the adapter from the checkpoint, or from the first step. Raises Diverged, LostWorker when stopped."""
    optimizer = adamw(model, config.optimizer)
    if checkpoint is not None:
        _restore(model, optimizer, checkpoint, config)
    if progress.step >= config.steps:
        return
    disable_progress_bar()
    live.start_at(progress.step, "steps")
    with StopRequest() as stop:
        watch = Watch(config, model, optimizer, checkpoint, progress, live, stop)
        trainer = QuietTrainer(
            model=model,
            args=_arguments(config, live.work, config.steps - progress.step),
            train_dataset=_in_order(config, examples, progress.step),
            processing_class=tokenizer,
            callbacks=[watch],
            optimizers=(optimizer, _schedule(config, optimizer, progress.step)),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


class QuietTrainer(SFTTrainer):
    """SFTTrainer without the ping to its makers at every start."""

    def _send_telemetry(self) -> None:
        return


def trained_parameters(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    """The adapter's parameters by name."""
    return {name: param for name, param in model.named_parameters() if param.requires_grad}


def _in_order(config: FinetuneConfig, examples: list[Example], done: int) -> Dataset:
    """Rows of the remaining steps, one after another as they are learned; the sampler only counts."""
    rows = Dataset.from_dict(
        {"input_ids": [example.ids for example in examples], "labels": [example.labels for example in examples]}
    )
    order = DataOrder(len(examples), config.batch, config.seed or 0)
    places = [index for step in range(done, config.steps) for index in order.step(step)]
    return rows.select(places, keep_in_memory=True)


def _arguments(config: FinetuneConfig, work: Path, steps: int) -> SFTConfig:
    """Every default of SFTConfig that would change the result, the speed on a CPU, or write anything."""
    cuda = torch.cuda.is_available()
    per_device, passes = _micro_batches(config)
    return SFTConfig(
        output_dir=str(work / "trainer"),
        max_steps=steps,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=passes,
        max_grad_norm=config.optimizer.clip,
        dataset_kwargs={"skip_prepare_dataset": True},  # the rows carry input_ids and labels
        max_length=None,
        packing=False,
        train_sampling_strategy="sequential",
        seed=config.seed or 0,
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=False,
        dataloader_pin_memory=cuda,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _micro_batches(config: FinetuneConfig) -> tuple[int, int]:
    """Rows of a forward pass on one process, and passes a step."""
    processes = TrainingArguments(output_dir="unused", use_cpu=not torch.cuda.is_available()).world_size
    micro = config.micro_batch or config.batch
    if config.batch % micro or micro % processes:
        raise BadConfig(
            f"finetune.batch={config.batch} is not a multiple of finetune.micro_batch={micro}, or that not of the "
            f"{processes} processes; change one of them"
        )
    return micro // processes, config.batch // micro


def _schedule(config: FinetuneConfig, optimizer: torch.optim.Optimizer, done: int) -> LambdaLR:
    settings = config.optimizer
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = settings.learning_rate
    return LambdaLR(
        optimizer,
        lambda step: warmup_cosine(done + step, config.steps, settings.warmup_steps, settings.min_rate),
    )


def _restore(
    model: PeftModel, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint, config: FinetuneConfig
) -> None:
    saved = checkpoint.part("adapter")
    with torch.no_grad():
        for name, param in trained_parameters(model).items():
            param.copy_(saved[name])
    restore_optimizer(optimizer, checkpoint.tensors, checkpoint.values["optimizer"], "optimizer")


class Watch(TrainerCallback):
    """Curve, live progress, checkpoints of ours, and a stop at the first number that is not finite."""

    def __init__(
        self,
        config: FinetuneConfig,
        model: PeftModel,
        optimizer: torch.optim.Optimizer,
        checkpoint: Checkpoint | None,
        progress: Progress,
        live: Live,
        stop: StopRequest,
    ) -> None:
        self._config, self._model, self._optimizer = config, model, optimizer
        self._checkpoint, self._progress, self._live, self._stop = checkpoint, progress, live, stop
        self._began, self._first = time.monotonic(), progress.step

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any) -> None:
        """Only now: building the trainer and its data loader draws random numbers."""
        if self._checkpoint is not None:
            restore_rng(self._checkpoint.tensors)
            self._checkpoint = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **rest: Any,
    ) -> None:
        """After every optimiser step."""
        if logs is None or "loss" not in logs:
            return  # the summary at the end
        config, progress = self._config, self._progress
        values = {
            "loss": float(logs["loss"]),
            "lr": float(logs["learning_rate"]),
            "grad_norm": float(logs["grad_norm"]),
        }
        progress.step += 1
        if not all(math.isfinite(value) for value in values.values()):
            raise Diverged(
                f"finetune: at step {progress.step} the loss is {values['loss']} and the gradient norm "
                f"{values['grad_norm']}; lower finetune.optimizer.learning_rate={config.optimizer.learning_rate} or "
                f"raise finetune.optimizer.warmup_steps={config.optimizer.warmup_steps}"
            )
        progress.curve.add(progress.step, **values)
        due = progress.step % config.checkpoint.every == 0 or progress.step == config.steps
        stopping = self._stop.agreed()
        if (due or stopping) and state.is_world_process_zero:
            self._save()
        if stopping:
            raise LostWorker(f"finetune was asked to stop; step {progress.step} is saved")
        rate = (progress.step - self._first) * config.batch / max(time.monotonic() - self._began, 1e-9)
        self._live.progress(progress.step, config.steps, "steps", **values, rows_s=round(rate, 1))

    def _save(self) -> None:
        tensors, state = optimizer_tensors(self._optimizer, "optimizer")
        weights = {f"adapter.{name}": param for name, param in trained_parameters(self._model).items()}
        values = {"start": self._progress.start, "curve": self._progress.curve.state(), "optimizer": state}
        save_checkpoint(
            self._live.work / "checkpoints",
            self._progress.step,
            {**weights, **tensors, **rng_tensors()},
            values,
            self._config.checkpoint.keep,
        )
