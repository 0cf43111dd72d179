"""Our side of trl_ppo.py, through the library trainer: python side_ours.py SPEC.json; the last line is JSON.

spec["critic"]: head or adapter; spec["reward"]: shared (an adapter and a head on the policy's own base) or whole (a
sequence classifier beside it, as on the other side); spec["merge"]: sample from merged weights.
"""

import cProfile
import importlib.metadata
import json
import os
import pstats
import sys
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from meter import Meter
from peft import LoraConfig
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tasks.forward.last import last_states
from tasks.models import pad_batch
from tasks.ppo import iteration
from tasks.ppo.trainer import PPOTrainer

ADAPTER = "reward"


class SharedReward:
    """A reward model that is an adapter and a head on the policy's base; a reward function of the trainer.

    The adapter is fresh, so that the scores are those of reward/, whose trunk is the start model's; a pass of it costs
    what a pass of a trained one costs.
    """

    __name__ = "reward"

    def __init__(self, tokenizer: Any, head_1H: Tensor) -> None:
        self.tokenizer, self.head_1H = tokenizer, head_1H
        self.trunk: Any = None

    def join(self, trainer: PPOTrainer, rank: int) -> None:
        """Put the adapter on the policy's base."""
        self.trunk = trainer.learner.policy.trunk
        lora = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        self.trunk.attach(ADAPTER, lora)
        for param in self.trunk.parameters(ADAPTER).values():
            param.requires_grad_(False)
        self.head_1H = self.head_1H.to(self.trunk.start.device)

    @torch.no_grad()
    def __call__(self, prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        """Scores at the last token of each text, tokenised anew."""
        texts = [prompt + answer for prompt, answer in zip(prompts, completions, strict=True)]
        device = self.head_1H.device
        ids_BT, mask_BT = (part.to(device) for part in pad_batch(self.tokenizer(texts)["input_ids"], 0))
        with self.trunk.use(ADAPTER):
            last_BH = last_states(self.trunk.start.base_model, ids_BT, mask_BT.sum(1))
        return cast(list[float], (last_BH @ self.head_1H[0]).tolist())


def settings(spec: dict[str, Any]) -> dict[str, Any]:
    """The same work as the other side's; what it does not have is off."""
    lora = {"rank": spec["rank"], "alpha": 2 * spec["rank"]}
    return {
        "iterations": spec["iterations"] + 1,
        "batch": spec["batch"],
        "minibatch": spec["minibatch"],
        "epochs": spec["epochs"],
        "max_new_tokens": spec["new_tokens"],
        "temperature": spec["temperature"],
        "learning_rate": spec["learning_rate"],
        "value_learning_rate": spec["learning_rate"],
        "kl": {"beta": spec["beta"]},
        "kl_estimator": "k1",
        "missing_eos_penalty": 0.0,
        "normalise_reward": False,
        "lora": lora,
        "merge_for_sampling": spec["merge"],
        "critic": {"kind": spec["critic"], "lora": lora},
        "seed": spec["seed"],
    }


def main() -> None:
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(spec["threads"])
    meter = Meter(torch, spec["device"])
    inputs = Path(spec["inputs"])
    texts = json.loads((inputs / "prompts.json").read_text(encoding="utf-8"))["texts"]
    tokenizer = AutoTokenizer.from_pretrained(inputs / "start")
    shared, reward = spec["reward"] == "shared", None
    if shared:
        with safe_open(inputs / "reward" / "model.safetensors", framework="pt") as file:
            reward = SharedReward(tokenizer, file.get_tensor("score.weight"))
    else:
        reward = AutoModelForSequenceClassification.from_pretrained(inputs / "reward", dtype=torch.float32)
    # sampling and the layout of its answers; without the function its share is unknown
    if hasattr(iteration, "sample"):
        iteration.sample = meter.generating(iteration.sample)
    rows: list[dict[str, float]] = []

    def log(row: dict[str, float]) -> None:
        rows.append(row)
        meter.tick()

    trainer = PPOTrainer(
        model=inputs / "start",
        reward_funcs=reward,
        args=settings(spec),
        train_dataset=[{"prompt": text} for text in texts],
        processing_class=tokenizer,
        log=log,
    )
    if isinstance(reward, SharedReward):
        reward.join(trainer, spec["rank"])
    prompts = trainer.roles.prompts
    probe = trainer.roles.rewards(prompts[:4], [text.strip() for text in texts[4:8]]).total_B.tolist()
    meter.begin()
    profile = cProfile.Profile() if spec["profile"] else None
    if profile is None:
        trainer.train()
    else:
        profile.runcall(trainer.train)
        pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(60)
    learner = trainer.learner
    trained = sum(
        param.numel() for part in (learner.policy.parameters(), learner.critic.trained()) for param in part.values()
    )
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")}
    about = {
        "probe": probe,
        "scores": [row["objective/scores"] for row in rows],
        "ended": sum(row["val/num_eos_tokens"] for row in rows),
        "trained": trained,
        "versions": versions,
    }
    print(json.dumps(meter.result() | about))


if __name__ == "__main__":
    main()
