"""Rankings that a tiny model can learn, and a way to call the reward stage on them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.schema.reward import RewardConfig
from configs.schema.training import CheckpointConfig, OptimizerConfig
from tasks.chat import user
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rankings import RankedPrompt, Ranking
from tasks.reward.train import train_reward

TEXTS = ["zzzz", "azzz", "aazz", "aaaz"]
ORDERS = [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0], [1, 0, 3, 2]]


def toy(count: int, first: int = 0) -> list[RankedPrompt]:
    """More of the letter a is better; the lengths are equal, and every place is the best one equally often."""
    items = []
    for n in range(first, first + count):
        order = ORDERS[n % 4]
        items.append(RankedPrompt(user(f"q{n}"), [TEXTS[at] for at in order], [Ranking([4 - at for at in order])]))
    return items


def toy_config(**settings: Any) -> RewardConfig:
    return RewardConfig(
        **{
            "seed": 0,
            "method": "full",
            "epochs": 3,
            "optimizer": OptimizerConfig(learning_rate=5e-3, warmup_steps=2),
            "checkpoint": CheckpointConfig(every=3),
            "max_length": 64,
            **settings,
        }
    )


def train_toy(place: Path, name: str, work: str, folders: Mapping[str, Path], **settings: Any) -> dict[str, Any]:
    """The stage's metrics; its artifact is ``place/name``, its working folder ``place/work``."""
    (place / name).mkdir()
    (place / work).mkdir(exist_ok=True)
    return train_reward(toy_config(**settings), Inputs(folders=folders), place / name, Live(place / work))
