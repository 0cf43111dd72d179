"""What training an adapter inside a Hugging Face trainer shares: progress, schedule, checkpoints, live figures.

The rows of the remaining steps are handed over in their order, so a resumed run needs the adapter, the optimiser's
state and the random numbers, and nothing of the trainer's own.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from peft import PeftModel
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from configs.schema.training import CheckpointConfig, OptimizerConfig
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
from tasks.failures import Diverged, LostWorker
from tasks.live import Live
from tasks.schedule import warmup_cosine

Parts = Callable[[], tuple[PeftModel, torch.optim.Optimizer]]
"""The adapted model and its optimiser, once the trainer has them."""


class Settings(Protocol):
    """What the settings of such a stage say."""

    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def optimizer(self) -> OptimizerConfig: ...
    @property
    def checkpoint(self) -> CheckpointConfig: ...


@dataclass
class Progress:
    """Where a run is, beside its weights; goes into every checkpoint.

    start: measured before the first step. last: figures of the last step.
    """

    curve: Curve
    start: dict[str, Any]
    step: int = 0
    last: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, checkpoint: Checkpoint | None, steps: int, start: Callable[[], dict[str, Any]]) -> "Progress":
        """Of a checkpoint, or a new one whose ``start`` is measured now."""
        if checkpoint is None:
            return cls(Curve(steps), start())
        values = checkpoint.values
        return cls(Curve(steps, values["curve"]), values["start"], checkpoint.step, values["last"])


def trained_parameters(model: PeftModel) -> dict[str, nn.Parameter]:
    """The adapter's parameters by name."""
    return {name: param for name, param in model.named_parameters() if param.requires_grad}


def schedule(settings: Settings, optimizer: torch.optim.Optimizer, done: int) -> LambdaLR:
    """Warm-up and cosine decay over all steps, from step ``done`` on."""
    given = settings.optimizer
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = given.learning_rate
    return LambdaLR(
        optimizer, lambda step: warmup_cosine(done + step, settings.steps, given.warmup_steps, given.min_rate)
    )


def restore(model: PeftModel, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's adapter and moments in place."""
    saved = checkpoint.part("adapter")
    with torch.no_grad():
        for name, param in trained_parameters(model).items():
            param.copy_(saved[name])
    restore_optimizer(optimizer, checkpoint.tensors, checkpoint.values["optimizer"], "optimizer")


class Watch(TrainerCallback):
    """Curve, live progress, checkpoints of ours, and a stop at the first number that is not finite."""

    stage: str  # as in settings and messages
    norm = "gradient_norm"  # its column in the curve

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        checkpoint: Checkpoint | None,
        progress: Progress,
        live: Live,
        stop: StopRequest,
    ) -> None:
        self._settings, self._parts, self._checkpoint = settings, parts, checkpoint
        self.progress, self._live, self._stop = progress, live, stop
        self._began, self._first, self._saved = time.monotonic(), progress.step, progress.step

    def figures(self, logs: dict[str, float]) -> dict[str, float]:
        """The trainer's figures of one step as columns of the curve; loss, lr and ``norm`` among them."""
        return {"loss": float(logs["loss"]), "lr": float(logs["learning_rate"]), self.norm: float(logs["grad_norm"])}

    def shown(self, values: dict[str, float]) -> dict[str, float]:
        """Those that the terminal shows."""
        return values

    def whole(self) -> bool:
        """Whether a run can go on from here with what a checkpoint holds."""
        return True

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
        settings, progress = self._settings, self.progress
        values = self.figures(logs)
        progress.step += 1
        self._check(values)
        progress.last = values
        progress.curve.add(progress.step, **values)
        end = progress.step == settings.steps
        whole = end or self.whole()
        stopping = self._stop.agreed() and whole
        if stopping or end or (whole and progress.step - self._saved >= settings.checkpoint.every):
            self._save(state.is_world_process_zero)
        if stopping:
            raise LostWorker(f"{self.stage} was asked to stop; step {progress.step} is saved")
        rate = (progress.step - self._first) * settings.batch / max(time.monotonic() - self._began, 1e-9)
        self._live.progress(progress.step, settings.steps, "steps", **self.shown(values), rows_s=round(rate, 1))

    def _check(self, values: dict[str, float]) -> None:
        if all(math.isfinite(values[name]) for name in ("loss", self.norm)):
            return
        given = self._settings.optimizer
        raise Diverged(
            f"{self.stage}: at step {self.progress.step} the loss is {values['loss']} and the gradient norm "
            f"{values[self.norm]}; lower {self.stage}.optimizer.learning_rate={given.learning_rate} or raise "
            f"{self.stage}.optimizer.warmup_steps={given.warmup_steps}"
        )

    def _save(self, main: bool) -> None:
        progress, self._saved = self.progress, self.progress.step
        if not main:
            return
        model, optimizer = self._parts()
        tensors, state = optimizer_tensors(optimizer, "optimizer")
        weights = {f"adapter.{name}": param for name, param in trained_parameters(model).items()}
        values = {
            "start": progress.start,
            "curve": progress.curve.state(),
            "last": progress.last,
            "optimizer": state,
        }
        save_checkpoint(
            self._live.work / "checkpoints",
            progress.step,
            {**weights, **tensors, **rng_tensors()},
            values,
            self._settings.checkpoint.keep,
        )
