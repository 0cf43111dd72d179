"""One side of pairs.py, as a process whose time and memory are measured.

    python pairs_sides.py ours|peer SPEC.json

SPEC: base, finetuned, rankings, heldout (folders), work (an empty folder), reward (settings of the reward stage),
micro (pairs of one forward pass of the peer), shuffle (whether it draws pairs of all prompts at random). The last line
is JSON: prompts, seconds, cpu, peak_mb (of the process), train_mb (above what it held before the first step), accuracy
(pairs of the held-out prompts), first_loss. Both sides read the same token ids and are scored by the same code, with
the score at the last token.
"""

import json
import os
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from configs.schema.reward import RewardConfig
from tasks.chat import load_tokenizer
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model, switch_off_dropout
from tasks.rankings import RankedPrompt, pair_accuracy, pairs, read_rankings
from tasks.schedule import adamw, warmup_cosine
from tasks.scoring import encode_answer, load_reward, reward_scores


@dataclass
class Clock:
    """Wall and CPU seconds between begin and end, and the memory held at its beginning."""

    held_mb: float = 0.0
    began: tuple[float, float] = (0.0, 0.0)
    ended: tuple[float, float] = (0.0, 0.0)

    def begin(self) -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.held_mb = pages * resource.getpagesize() / 1e6
        self.began = (time.perf_counter(), time.process_time())

    def end(self) -> None:
        self.ended = (time.perf_counter(), time.process_time())

    def result(self) -> dict[str, float]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        seconds, cpu = (end - begin for begin, end in zip(self.began, self.ended, strict=True))
        return {"seconds": seconds, "cpu": cpu, "peak_mb": peak, "train_mb": peak - self.held_mb}


@dataclass
class Timed(Live):
    """What the stage reports with; the clock runs from its first step to its last."""

    clock: Clock = field(default_factory=Clock)

    def start_at(self, done: int, unit: str) -> None:
        super().start_at(done, unit)
        self.clock.begin()

    def progress(self, done: int, total: int, unit: str, **values: float) -> None:
        super().progress(done, total, unit, **values)
        if unit == "steps" and done == total:
            self.clock.end()


def ours(spec: dict[str, Any], config: RewardConfig) -> dict[str, Any]:
    """The reward stage as it is, the held-out accuracy that it takes during training included."""
    from tasks.reward.train import train_reward

    work, clock = Path(spec["work"]), Clock()
    out = work / "out"
    out.mkdir()
    folders = {name: Path(spec[name]) for name in ("base", "finetuned", "rankings")}
    train_reward(config, Inputs(folders=folders), out, Timed(work, clock=clock))
    result = clock.result()  # before the scoring, which may need more memory
    curve = [json.loads(line) for line in (out / "training" / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return result | {
        "accuracy": accuracy(spec, config, load_reward(out, folders["base"], folders["finetuned"])),
        "first_loss": curve[0]["loss"],
    }


def peer(spec: dict[str, Any], config: RewardConfig) -> dict[str, Any]:
    """TRL's RewardTrainer on every pair of every ranking; its own collator and loop.

    Not its defaults: bfloat16 and gradient checkpointing are off, the optimiser and its schedule are the stage's, a
    step is as many pairs as ``prompts_per_step`` prompts have on average, nothing is saved or evaluated meanwhile.
    """
    from datasets.utils.logging import disable_progress_bar

    from tasks.reward.batches import step_prompts, steps_per_epoch

    disable_progress_bar()
    work, tokenizer, seed = Path(spec["work"]), load_tokenizer(Path(spec["finetuned"])), config.seed or 0
    items = read_rankings(Path(spec["rankings"]), "train")
    items = [item for item in items if any(pairs(ranking) for ranking in item.ranks)]
    steps = steps_per_epoch(len(items), config.prompts_per_step)
    order = [at for step in range(steps) for at in step_prompts(step, len(items), config.prompts_per_step, seed)]
    rows = exploded([items[at] for at in order], config, tokenizer)
    accumulate = max(round(len(rows) / steps / spec["micro"]), 1)
    trainer = make_trainer(spec, config, rows, accumulate, tokenizer)
    clock = Clock()
    clock.begin()
    trainer.train()
    clock.end()
    result = clock.result()
    trained = trainer.model.merge_and_unload() if config.method == "lora" else trainer.model
    trained.save_pretrained(work / "trained")
    return result | {
        "accuracy": accuracy(spec, config, load_reward(work / "trained")),
        "first_loss": first_loss(trainer),
        "pairs": len(rows),
        "steps": trainer.state.global_step,
        "steps_ours": config.epochs * steps,
    }


def make_trainer(
    spec: dict[str, Any], config: RewardConfig, rows: list[dict[str, list[int]]], accumulate: int, tokenizer: Any
) -> Any:
    """The peer, ready to train: passes of ``micro`` pairs, so many of them a step."""
    from datasets import Dataset
    from peft import LoraConfig
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import PrinterCallback
    from trl import RewardConfig as PeerConfig
    from trl import RewardTrainer

    lora, opt, micro = None, config.optimizer, spec["micro"]
    if config.method == "lora":
        settings = config.lora
        lora = LoraConfig(task_type="SEQ_CLS", r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear")
    trainer = RewardTrainer(
        model=start_model(spec, Path(spec["work"]) / "start"),
        args=PeerConfig(
            output_dir=spec["work"],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=accumulate,
            num_train_epochs=config.epochs,
            max_grad_norm=opt.clip,
            train_sampling_strategy="random" if spec["shuffle"] else "sequential",
            max_length=None,  # the ids are cut already
            seed=config.seed or 0,
            save_strategy="no",
            logging_first_step=True,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
    )
    trainer.remove_callback(PrinterCallback)
    steps = config.epochs * -(-len(rows) // (micro * accumulate))
    trainer.optimizer = adamw(trainer.model, opt)
    trainer.lr_scheduler = LambdaLR(
        trainer.optimizer, lambda step: warmup_cosine(min(step, steps - 1), steps, opt.warmup_steps, opt.min_rate)
    )
    return trainer


def first_loss(trainer: Any) -> float:
    """Mean loss of the first step: ln 2 when the start is the same as ours."""
    return float(next(row["loss"] for row in trainer.state.log_history if "loss" in row))


def start_model(spec: dict[str, Any], folder: Path) -> Any:
    """The fine-tuned model as a sequence classifier by transformers' own loader; its head starts at zero."""
    from transformers import AutoModelForSequenceClassification

    load_chat_model(Path(spec["base"]), Path(spec["finetuned"])).save_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    torch.nn.init.zeros_(model.score.weight)
    return switch_off_dropout(model).requires_grad_(True)


def exploded(items: list[RankedPrompt], config: RewardConfig, tokenizer: Any) -> list[dict[str, list[int]]]:
    """One row a pair: token ids of the better and of the worse answer, each with the prompt before it."""
    rows = []
    for item in items:
        ids = [encode_answer(tokenizer, item.prompt, text, config.max_length).ids for text in item.candidates]
        for ranking in item.ranks:
            rows += [{"chosen_ids": ids[better], "rejected_ids": ids[worse]} for better, worse in pairs(ranking)]
    return rows


def accuracy(spec: dict[str, Any], config: RewardConfig, model: Any) -> float:
    """Pair accuracy on prompts that no side has seen."""
    tokenizer, items = load_tokenizer(Path(spec["finetuned"])), read_rankings(Path(spec["heldout"]), "heldout")
    texts = [(item.prompt, text) for item in items for text in item.candidates]
    rows = [encode_answer(tokenizer, prompt, text, config.max_length) for prompt, text in texts]
    flat = iter(reward_scores(model, rows, int(tokenizer.pad_token_id)).tolist())
    return pair_accuracy(items, [[next(flat) for _ in item.candidates] for item in items])[0]


def main() -> None:
    side, path = sys.argv[1:]
    torch.set_num_threads(1)
    spec = json.loads(Path(path).read_text(encoding="utf-8"))
    config = RewardConfig.model_validate(spec["reward"])
    prompts = len(read_rankings(Path(spec["rankings"]), "train")) * config.epochs
    print(json.dumps({"prompts": prompts, **{"ours": ours, "peer": peer}[side](spec, config)}))


if __name__ == "__main__":
    main()
