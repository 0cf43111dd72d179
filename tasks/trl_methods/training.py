"""What the four trainers have in common: silent settings, our optimiser and schedule, our checkpoints, live progress.

The same scheme as fine-tuning: the rows of the remaining steps are handed over in their order, so a resumed run needs
the adapter, the optimiser's state and the random numbers, and nothing of the trainer's own.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from peft import PeftModel
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from configs.schema.trl import TrlConfig
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
from tasks.live import Live
from tasks.schedule import adamw, warmup_cosine

Figures = Callable[[dict[str, Any]], dict[str, float]]
"""TRL's figures of one step → columns of the curve."""
WHOLE_WEIGHTS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


@dataclass
class Progress:
    """Where a run is, beside its weights; goes into every checkpoint. ``start``: measured before the first step."""

    curve: Curve
    start: dict[str, Any]
    step: int = 0
    last: dict[str, float] = field(default_factory=dict)


def check_supported(trainer: Trainer) -> None:
    """Raises BadConfig unless every process holds whole weights in float32."""
    kind, precision = trainer.accelerator.distributed_type, trainer.accelerator.mixed_precision
    if kind not in WHOLE_WEIGHTS:
        raise BadConfig(
            f"trl under accelerate's distributed_type={kind.value}: the adapter is saved and sampled from whole "
            "weights; set trl.launch.processes, or an accelerate_config of type MULTI_GPU (see configs/launch/ddp.yaml)"
        )
    if precision != "no":
        raise BadConfig(
            f"trl under accelerate's mixed_precision={precision}: log-probabilities of two models are subtracted, in "
            "float32; set mixed_precision to 'no'"
        )


def common_arguments(config: TrlConfig, work: Path, done: int) -> dict[str, Any]:
    """Every default of TRL's configs that would change the result, the speed on a CPU, or write or send anything."""
    cuda = torch.cuda.is_available()
    per_device, passes = micro_batches(config)
    return {
        "output_dir": str(work / "trainer"),
        "max_steps": config.steps - done,
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": passes,
        "max_grad_norm": config.optimizer.clip,
        "seed": config.seed or 0,
        "bf16": False,  # log-probabilities of two models are subtracted
        "use_cpu": not cuda,
        "gradient_checkpointing": False,
        "disable_dropout": True,
        "dataloader_pin_memory": cuda,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def micro_batches(config: TrlConfig) -> tuple[int, int]:
    """Rows of a forward pass on one process, and passes a step. Raises BadConfig when processes do not divide them."""
    processes = PartialState().num_processes
    micro = config.micro_batch or config.batch
    if micro % processes:
        raise BadConfig(
            f"trl.{'micro_batch' if config.micro_batch else 'batch'}={micro} is not a multiple of the {processes} "
            "processes of trl.launch; change one of them"
        )
    return micro // processes, config.batch // micro


def adapter_of(trainer: Trainer) -> PeftModel:
    """The model with its adapter, without what accelerate has put around it."""
    return cast(PeftModel, trainer.accelerator.unwrap_model(trainer.model))


def trained_parameters(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    """The adapter's parameters by name."""
    return {name: param for name, param in model.named_parameters() if param.requires_grad}


def fit(
    trainer: Trainer,
    config: TrlConfig,
    checkpoint: Checkpoint | None,
    progress: Progress,
    live: Live,
    figures: Figures,
) -> None:
    """Train from the checkpoint, or from the first step. Raises BadConfig, Diverged, LostWorker when asked to stop."""
    check_supported(trainer)
    optimizer = adamw(adapter_of(trainer), config.optimizer)
    if checkpoint is not None:
        _restore(adapter_of(trainer), optimizer, checkpoint)
    if progress.step >= config.steps:
        return
    trainer.optimizer, trainer.lr_scheduler = optimizer, _schedule(config, optimizer, progress.step)
    trainer.remove_callback(PrinterCallback)
    live.start_at(progress.step, "steps")
    with StopRequest() as stop:
        trainer.add_callback(Watch(config, trainer, checkpoint, progress, live, figures, stop))
        trainer.train()


def _schedule(config: TrlConfig, optimizer: torch.optim.Optimizer, done: int) -> LambdaLR:
    settings = config.optimizer
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = settings.learning_rate
    return LambdaLR(
        optimizer,
        lambda step: warmup_cosine(done + step, config.steps, settings.warmup_steps, settings.min_rate),
    )


def _restore(model: PeftModel, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    saved = checkpoint.part("adapter")
    with torch.no_grad():
        for name, param in trained_parameters(model).items():
            param.copy_(saved[name])
    restore_optimizer(optimizer, checkpoint.tensors, checkpoint.values["optimizer"], "optimizer")


class Watch(TrainerCallback):
    """Curve, live progress, checkpoints of ours, and a stop at the first number that is not finite."""

    def __init__(
        self,
        config: TrlConfig,
        trainer: Trainer,
        checkpoint: Checkpoint | None,
        progress: Progress,
        live: Live,
        figures: Figures,
        stop: StopRequest,
    ) -> None:
        self._config, self._trainer, self._checkpoint = config, trainer, checkpoint
        self._progress, self._live, self._figures, self._stop = progress, live, figures, stop
        self._began, self._first, self._saved = time.monotonic(), progress.step, progress.step

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
            # TRL says less of a step on answers that were sampled before it, or whose answers are all wanted
            **progress.last,
            "loss": float(logs["loss"]),
            **self._figures(logs),
            "gradient_norm": float(logs["grad_norm"]),
            "lr": float(logs["learning_rate"]),
        }
        progress.step += 1
        self._check(values)
        progress.last = values
        progress.curve.add(progress.step, **values)
        end = progress.step == config.steps
        # Answers that are still to be learned from are in no checkpoint
        whole = end or not config.online or progress.step % config.reuse == 0
        stopping = self._stop.agreed() and whole
        if stopping or end or (whole and progress.step - self._saved >= config.checkpoint.every):
            self._save(state.is_world_process_zero)
        if stopping and not end:
            raise LostWorker(f"trl was asked to stop; step {progress.step} is saved")
        shown = {name: values[name] for name in ("loss", "reward", "margin", "kl", "length") if name in values}
        rate = (progress.step - self._first) * config.batch / max(time.monotonic() - self._began, 1e-9)
        self._live.progress(progress.step, config.steps, "steps", **shown, rows_s=round(rate, 1))

    def _check(self, values: dict[str, float]) -> None:
        broken = [name for name in ("loss", "gradient_norm") if not math.isfinite(values[name])]
        if broken:
            config = self._config
            raise Diverged(
                f"trl: at step {self._progress.step} of {config.method} the {broken[0]} is {values[broken[0]]}; lower "
                f"trl.optimizer.learning_rate={config.optimizer.learning_rate} or raise "
                f"trl.optimizer.warmup_steps={config.optimizer.warmup_steps}"
            )

    def _save(self, main: bool) -> None:
        self._saved = self._progress.step
        if not main:
            return
        assert self._trainer.optimizer is not None
        tensors, state = optimizer_tensors(self._trainer.optimizer, "optimizer")
        weights = {f"adapter.{name}": param for name, param in trained_parameters(adapter_of(self._trainer)).items()}
        progress = self._progress
        values = {
            "start": progress.start,
            "curve": progress.curve.state(),
            "last": progress.last,
            "optimizer": state,
        }
        save_checkpoint(
            self._live.work / "checkpoints",
            self._progress.step,
            {**weights, **tensors, **rng_tensors()},
            values,
            self._config.checkpoint.keep,
        )
