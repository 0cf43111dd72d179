"""TRL's side of trl_ppo.py, in the peer's environment: python side_peer.py SPEC.json; the last line is JSON.

As its documentation and its example script have it: the policy gets an adapter by ``peft_config`` and is its own
reference with the adapter off; value model and reward model are whole models, the value model trained whole.
"""

import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
import trl.experimental.ppo.ppo_trainer as loop
from datasets import Dataset
from meter import Meter
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl.experimental.ppo import PPOConfig, PPOTrainer
from trl.experimental.utils import get_reward


class Clock(TrainerCallback):  # type: ignore[misc]
    """Tells the meter of each iteration."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.scores: list[float] = []
        self.ended = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.meter.begin()

    def on_log(self, _args: Any, _state: Any, _control: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
        if logs and "objective/scores" in logs:
            self.scores.append(logs["objective/scores"])
            self.ended += logs["val/num_eos_tokens"]

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.meter.tick()


def settings(spec: dict[str, Any]) -> PPOConfig:
    """Micro-batch = minibatch: an optimiser step is one forward and backward pass.

    With gradient accumulation the trainer steps once in so many passes, whatever the minibatches are; it is therefore
    1, and the per-device batch, which bounds a pass, the whole rollout. Gradient checkpointing and bfloat16, both on
    by default, are off as on our side.
    """
    return PPOConfig(
        output_dir=spec["work"],
        use_cpu=spec["device"] == "cpu",
        per_device_train_batch_size=spec["batch"],
        gradient_accumulation_steps=1,
        num_mini_batches=spec["batch"] // spec["minibatch"],
        num_ppo_epochs=spec["epochs"],
        total_episodes=spec["batch"] * (spec["iterations"] + 1),
        local_rollout_forward_batch_size=spec["batch"],
        response_length=spec["new_tokens"],
        stop_token=None,
        temperature=spec["temperature"],
        kl_coef=spec["beta"],
        kl_estimator="k1",
        learning_rate=spec["learning_rate"],
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        gamma=1.0,
        lam=0.95,
        cliprange=0.2,
        cliprange_value=0.2,
        vf_coef=1.0,
        num_sample_generations=0,
        gradient_checkpointing=spec["peer_checkpointing"],
        bf16=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=spec["seed"],
    )


def probe(model: Any, spec: dict[str, Any], rows: list[list[int]]) -> list[float]:
    """Scores of some texts, which must be the other side's."""
    found = []
    for prompt, answer in zip(rows[:4], rows[4:8], strict=True):
        ids = torch.tensor([prompt + answer], device=model.device)
        with torch.no_grad():
            found.append(float(get_reward(model, ids, spec["pad"], len(prompt))[1]))
    return found


def main() -> None:
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(spec["threads"])
    meter = Meter(torch, spec["device"])
    inputs = Path(spec["inputs"])
    rows = json.loads((inputs / "prompts.json").read_text(encoding="utf-8"))["ids"]
    policy = AutoModelForCausalLM.from_pretrained(inputs / "start", dtype=torch.float32)
    value, reward = (
        AutoModelForSequenceClassification.from_pretrained(inputs / "reward", num_labels=1, dtype=torch.float32)
        for _ in range(2)
    )
    loop.batch_generation = meter.generating(loop.batch_generation)
    clock = Clock(meter)
    trainer = PPOTrainer(
        args=settings(spec),
        processing_class=AutoTokenizer.from_pretrained(inputs / "start"),
        model=policy,
        ref_model=None,
        reward_model=reward,
        value_model=value,
        train_dataset=Dataset.from_list([{"input_ids": row} for row in rows]),
        eval_dataset=Dataset.from_list([{"input_ids": row} for row in rows[:1]]),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", r=spec["rank"], lora_alpha=2 * spec["rank"], target_modules="all-linear"
        ),
        callbacks=[clock],
    )
    found = probe(reward, spec, rows)
    trainer.train()
    trained = sum(param.numel() for param in trainer.model.parameters() if param.requires_grad)
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl", "peft")}
    about = {"probe": found, "scores": clock.scores, "ended": clock.ended, "trained": trained, "versions": versions}
    print(json.dumps(meter.result() | about))


if __name__ == "__main__":
    main()
