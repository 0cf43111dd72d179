"""TRL's SFTTrainer, set up to be silent, exactly resumable, and to learn in an order that is given."""

from pathlib import Path

import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from peft import PeftModel
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from configs.schema.finetune import FinetuneConfig
from tasks.adapter_fit import Progress, Watch, restore, schedule
from tasks.checkpoint import Checkpoint, StopRequest
from tasks.failures import BadConfig
from tasks.finetune.examples import Example
from tasks.live import Live
from tasks.order import DataOrder
from tasks.schedule import adamw


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
        restore(model, optimizer, checkpoint)
    if progress.step >= config.steps:
        return
    disable_progress_bar()
    live.start_at(progress.step, "steps")
    with StopRequest() as stop:
        watch = _Watch(config, lambda: (model, optimizer), checkpoint, progress, live, stop)
        trainer = QuietTrainer(
            model=model,
            args=_arguments(config, live.work, config.steps - progress.step),
            train_dataset=_in_order(config, examples, progress.step),
            processing_class=tokenizer,
            callbacks=[watch],
            optimizers=(optimizer, schedule(config, optimizer, progress.step)),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


class QuietTrainer(SFTTrainer):
    """SFTTrainer without the ping to its makers at every start."""

    def _send_telemetry(self) -> None:
        return


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


class _Watch(Watch):
    stage, norm = "finetune", "grad_norm"
