"""Plain pairs: TRL's RewardTrainer and this stage take the same steps from the same start to the same weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_rankings import toy, toy_config

from tasks.chat import load_tokenizer
from tasks.models import load_chat_model, switch_off_dropout
from tasks.rankings import RankedPrompt, write_rankings
from tasks.reward.batches import step_prompts
from tasks.schedule import adamw, warmup_cosine
from tasks.scoring import encode_answer, load_reward

Run = Callable[..., tuple[dict[str, Any], Path]]
PER_STEP, STEPS = 8, 6


@pytest.mark.parametrize(
    ("settings", "peer"),
    [
        ({}, {}),
        ({"centre": 0.01}, {"center_rewards_coefficient": 0.01}),
        ({"margin": "rank", "margin_scale": 0.5}, {}),
    ],
)
def test_the_same_losses_and_weights_on_pairs(
    run: Run, folders: dict[str, Path], tmp_path: Path, settings: dict[str, Any], peer: dict[str, Any]
) -> None:
    pairs = [
        RankedPrompt(item.prompt, item.candidates[:2], [item.rankings[0].take([0, 1])])
        for item in toy(PER_STEP * STEPS)
    ]
    data = tmp_path / "pairs"
    data.mkdir()
    write_rankings(data, "train", pairs)
    write_rankings(data, "heldout", toy(4, first=100))
    about = {"readout": "last", "epochs": 1, "normalise": "none", **settings}
    _, out = run(folders={"rankings": data}, **about)
    ours = [json.loads(line)["loss"] for line in (out / "training/curve.jsonl").read_text().splitlines()]
    theirs, model = _trl(folders, pairs, tmp_path, margin="margin" in settings, **peer)
    assert len(ours) == len(theirs) == STEPS
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert max(ours) - min(ours) > 0.01
    loaded = load_reward(out)
    for mine, other in zip(loaded.parameters(), model.parameters(), strict=True):
        assert float((mine - other).abs().max()) < 1e-4


def _trl(
    folders: dict[str, Path], items: list[RankedPrompt], place: Path, *, margin: bool, **settings: Any
) -> tuple[list[float], Any]:
    """Loss of each step of TRL's trainer on the same batches in the same order, and the model it trained."""
    from datasets import Dataset
    from torch.optim.lr_scheduler import LambdaLR
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    losses: list[float] = []

    class Recorded(RewardTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            losses.append(float(loss.detach()))
            return loss

    config, tokenizer = toy_config(), load_tokenizer(folders["finetuned"])
    load_chat_model(folders["base"], folders["finetuned"]).save_pretrained(place / "start")
    model = AutoModelForSequenceClassification.from_pretrained(place / "start", num_labels=1, dtype=torch.float32)
    torch.nn.init.zeros_(model.score.weight)
    rows = []
    for step in range(STEPS):
        for number in step_prompts(step, len(items), PER_STEP, 0):
            item = items[number]
            first, second = (encode_answer(tokenizer, item.prompt, text, 64).ids for text in item.candidates)
            better = item.ranks[0][0] == 1
            row: dict[str, Any] = {"chosen_ids": first, "rejected_ids": second}
            row = row if better else {"chosen_ids": second, "rejected_ids": first}
            rows.append(row | ({"margin": 0.5} if margin else {}))
    trainer = Recorded(
        model=switch_off_dropout(model).requires_grad_(True),
        args=RewardConfig(
            output_dir=str(place / "trl"),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            per_device_train_batch_size=PER_STEP,
            num_train_epochs=1,
            max_grad_norm=config.optimizer.clip,
            max_length=None,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **settings,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    opt = config.optimizer
    trainer.optimizer = adamw(trainer.model, opt)
    trainer.lr_scheduler = LambdaLR(
        trainer.optimizer, lambda step: warmup_cosine(min(step, STEPS - 1), STEPS, opt.warmup_steps, opt.min_rate)
    )
    trainer.train()
    return losses, trainer.model
