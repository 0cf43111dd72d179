"""What the four trainers have in common: silent settings, and what they are refused for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from peft import PeftModel
from transformers import PrinterCallback, Trainer

from configs.schema.trl import TrlConfig
from tasks.adapter_fit import Progress, Watch, restore, schedule
from tasks.checkpoint import Checkpoint, StopRequest
from tasks.failures import BadConfig
from tasks.live import Live
from tasks.schedule import adamw

Figures = Callable[[dict[str, Any]], dict[str, float]]
"""TRL's figures of one step → columns of the curve."""
WHOLE_WEIGHTS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


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
        restore(adapter_of(trainer), optimizer, checkpoint)
    if progress.step >= config.steps:
        return
    trainer.optimizer, trainer.lr_scheduler = optimizer, schedule(config, optimizer, progress.step)
    trainer.remove_callback(PrinterCallback)
    live.start_at(progress.step, "steps")
    with StopRequest() as stop:
        parts = lambda: (adapter_of(trainer), optimizer)  # noqa: E731
        trainer.add_callback(_Watch(config, figures, parts, checkpoint, progress, live, stop))
        trainer.train()


class _Watch(Watch):
    stage = "trl"

    def __init__(self, config: TrlConfig, figures: Figures, *common: Any) -> None:
        super().__init__(config, *common)
        self._config, self._figures = config, figures

    def figures(self, logs: dict[str, float]) -> dict[str, float]:
        """TRL says less of a step on answers that were sampled before it, or whose answers are all wanted."""
        common = super().figures(logs)
        first, rest = {"loss": common.pop("loss")}, self._figures(logs)
        return {**self.progress.last, **first, **rest, **common}

    def shown(self, values: dict[str, float]) -> dict[str, float]:
        return {name: values[name] for name in ("loss", "reward", "margin", "kl", "length") if name in values}

    def whole(self) -> bool:
        """Answers that are still to be learned from are in no checkpoint."""
        return not self._config.online or self.progress.step % self._config.reuse == 0
