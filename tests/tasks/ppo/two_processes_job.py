"""Started by test_two_processes.py, alone and under torchrun: one update of a fixed rollout for each kind of roles."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from ppo_parts import tiny_llama

from configs.schema.ppo import PPOConfig
from configs.schema.ppo_parts import CriticConfig, PtxConfig
from configs.schema.training import LoraSettings
from tasks.ppo.advantages import explained_variance, gae, whiten
from tasks.ppo.experience import Experience, Round
from tasks.ppo.learner import Learner
from tasks.ppo.processes import Processes
from tasks.ppo.ptx import Text, Texts
from tasks.ppo.rollout import lay_out, read_all
from tasks.ppo.update import finished, step, summary, update
from tasks.randomness import permutation

BATCH = 6
KINDS: dict[str, dict[str, Any]] = {
    "head": {},
    "adapter": {
        "critic": CriticConfig(kind="adapter", lora=LoraSettings(rank=2)),
        "ptx": PtxConfig(coefficient=0.2, batch=3),
        "entropy_coefficient": 0.01,
        "micro_batch": 1,
    },
    "full": {"method": "full", "dual_clip": 3.0},
}


def settings(kind: str) -> PPOConfig:
    common = {"batch": BATCH, "minibatch": 2, "epochs": 2, "lora": LoraSettings(rank=2), "clip_gradient": 1e9}
    return PPOConfig.of(**{**common, **KINDS[kind]})


def main(target: Path) -> None:
    """Write what this world of processes computed; every process computes its share."""
    processes = Processes(Accelerator(cpu=True))
    result = {kind: run(settings(kind), processes) for kind in KINDS}
    if processes.main:
        target.write_text(json.dumps(result), encoding="utf-8")
    processes.wait()


def new_learner(config: PPOConfig) -> Learner:
    """Plain gradient descent: Adam would turn a rounding error in a zero gradient into a whole step."""
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    learner.policy_optimizer = torch.optim.SGD(learner.policy.parameters().values(), lr=0.01)
    learner.critic_optimizer = torch.optim.SGD(learner.critic.trained().values(), lr=0.01)
    return learner


def run(config: PPOConfig, processes: Processes) -> dict[str, list[float]]:
    learner = new_learner(config)
    rows = processes.share(BATCH)
    lengths = [1, 8, 3, 6, 2, 5]
    whole = torch.randint(4, 40, (BATCH, 12), generator=torch.Generator().manual_seed(0)).tolist()
    answers = lay_out([whole[r][:4] for r in rows], [whole[r][4 : 4 + lengths[r]] for r in rows], 0)
    own = read_all(learner.policy.adapted, answers, 1.0, None)
    with learner.policy.reference() as reference:
        start = read_all(reference, answers, 1.0, None, features=learner.critic.needs_features)
    reward_BT = torch.randn(BATCH, 8, generator=torch.Generator().manual_seed(1))[rows, : answers.width]
    value_BT = reward_BT * 0.3
    mask_BT = answers.mask_BT
    advantage_BT, return_BT = gae(reward_BT, value_BT, mask_BT, 1.0, 0.95)
    explained = explained_variance(value_BT, return_BT, mask_BT, processes.sum)
    white_BT = whiten(advantage_BT, mask_BT, processes.sum)
    spread = torch.zeros(BATCH, 8)
    spread[rows, : answers.width] = white_BT
    before = parameters(learner)
    experience = Experience(rows, answers, own.logp_BT, value_BT, start.feature_BTH, white_BT, return_BT)
    texts = Texts([Text([5, 6, 7, 8, 9][: n + 2], [1] * (n + 2)) for n in range(4)], seed=0)
    used = texts if config.ptx.coefficient else None
    learned = update(config, learner, experience, BATCH, processes, used)
    return {
        "processes": [processes.accelerator.num_processes],
        "empty_shares": [empty_shares(config, rows)],
        "advantages": processes.sum(spread).flatten().tolist(),
        "before": before,
        "parameters": parameters(learner),
        "statistics": [*learned.values(), explained],
        "resumed": resumed(config, experience, processes, used),
    }


def resumed(config: PPOConfig, experience: Experience, processes: Processes, texts: Texts | None) -> list[float]:
    """The same update, saved after two of its steps and gone on with by another learner."""
    names = [tempfile.mkdtemp()] if processes.main else [""]
    if processes.accelerator.num_processes > 1:
        torch.distributed.broadcast_object_list(names)
    learner, folder = new_learner(config), Path(names[0])
    learner.round = Round(experience, {})
    for _ in range(2):
        step(config, learner, learner.round, BATCH, processes, texts)
    learner.save(folder, 1, config.update_steps, processes)
    processes.wait()
    other = new_learner(config)
    assert other.restore(folder, processes)
    assert other.round is not None
    while not finished(config, other.round):
        step(config, other, other.round, BATCH, processes, texts)
    assert summary(config, other.round)["skipped"] == 0.0
    return parameters(other)


def parameters(learner: Learner) -> list[float]:
    tensors = [*learner.policy.parameters().values(), *learner.critic.trained().values()]
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).tolist()


def empty_shares(config: PPOConfig, rows: list[int]) -> int:
    """Minibatches in which this process has no row."""
    orders = [permutation(BATCH, 0, "minibatches", 0, epoch) for epoch in range(config.epochs)]
    pieces = [order[start : start + 2] for order in orders for start in range(0, BATCH, 2)]
    return sum(not set(piece) & set(rows) for piece in pieces)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
