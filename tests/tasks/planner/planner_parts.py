"""Work of a small PPO stage, with any of its parts changed."""

from typing import Any

from configs.schema.ppo import PPOConfig
from tasks.planner.ppo_work import Lengths, RewardShape, Work
from tasks.planner.shape import ModelShape

SMALL = ModelShape("llama", 2, 32, 4, 2, 8, 48, 60, 128)


def small_work(shape: ModelShape = SMALL, reward: RewardShape | None = None, answer: int = 8, **settings: Any) -> Work:
    config = PPOConfig.of(
        **{"batch": 8, "minibatch": 4, "max_new_tokens": answer, "lora": {"rank": 4}, "iterations": 3, **settings}
    )
    return Work(config, shape, reward or RewardShape(rank=4), Lengths(10, answer, 3))
