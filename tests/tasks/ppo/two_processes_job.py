"""Started by test_two_processes.py, by itself and under torchrun: one update of a fixed rollout."""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from ppo_parts import tiny_llama

from configs.schema.ppo import PPOConfig
from configs.schema.sources import PromptSource
from configs.schema.training import LoraSettings
from tasks.ppo.advantages import explained_variance, gae, whiten
from tasks.ppo.experience import Experience
from tasks.ppo.learner import Learner
from tasks.ppo.processes import Processes
from tasks.ppo.randomness import permutation
from tasks.ppo.rollout import lay_out, read_all
from tasks.ppo.update import update

BATCH = 6
CONFIG = PPOConfig(
    prompts=PromptSource(path="none"), batch=BATCH, minibatch=2, epochs=2, seed=0, lora=LoraSettings(rank=2)
)


def main(target: Path) -> None:
    """Write what this world of processes computed; every process computes its share."""
    processes = Processes(Accelerator(cpu=True))
    learner = Learner.create(CONFIG, tiny_llama(40).requires_grad_(False))
    # plain gradient descent: Adam would turn a rounding error in a zero gradient into a whole step
    learner.policy_optimizer = torch.optim.SGD(learner.policy.parameters().values(), lr=0.1)
    learner.critic_optimizer = torch.optim.SGD(learner.critic.parameters(), lr=0.1)
    rows = processes.share(BATCH)
    lengths = [1, 8, 3, 6, 2, 5]
    whole = torch.randint(4, 40, (BATCH, 12), generator=torch.Generator().manual_seed(0)).tolist()
    answers = lay_out([whole[r][:4] for r in rows], [whole[r][4 : 4 + lengths[r]] for r in rows], 0)
    reading = read_all(learner.policy.adapted, answers, 1.0, None, features=True)
    reward_BT = torch.randn(BATCH, 8, generator=torch.Generator().manual_seed(1))[rows, : answers.width]
    assert reading.feature_BTH is not None
    value_BT = reward_BT * 0.3
    mask_BT = answers.mask_BT
    advantage_BT, return_BT = gae(reward_BT, value_BT, mask_BT, 1.0, 0.95)
    explained = explained_variance(value_BT, return_BT, mask_BT, processes.sum)
    white_BT = whiten(advantage_BT, mask_BT, processes.sum)
    spread = torch.zeros(BATCH, 8)
    spread[rows, : answers.width] = white_BT
    before = _parameters(learner)
    experience = Experience(rows, answers, reading.logp_BT, value_BT, reading.feature_BTH, white_BT, return_BT)
    learned = update(CONFIG, learner, experience, BATCH, processes)
    result = {
        "processes": [processes.accelerator.num_processes],
        "empty_shares": [_empty_shares(rows)],
        "advantages": processes.sum(spread).flatten().tolist(),
        "before": before,
        "parameters": _parameters(learner),
        "statistics": [*learned.values(), explained],
    }
    if processes.main:
        target.write_text(json.dumps(result), encoding="utf-8")
    processes.wait()


def _parameters(learner: Learner) -> list[float]:
    tensors = [*learner.policy.parameters().values(), *learner.critic.parameters()]
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).tolist()


def _empty_shares(rows: list[int]) -> int:
    """Minibatches in which this process has no row."""
    orders = [permutation(BATCH, 0, "minibatches", 0, epoch) for epoch in range(CONFIG.epochs)]
    pieces = [order[start : start + 2] for order in orders for start in range(0, BATCH, 2)]
    return sum(not set(piece) & set(rows) for piece in pieces)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
