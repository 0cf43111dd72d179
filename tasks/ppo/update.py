"""Gradient steps on one rollout."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from configs.schema.ppo import PPOConfig
from tasks.failures import Diverged
from tasks.ppo.advantages import length_mask
from tasks.ppo.critic import Critic
from tasks.ppo.learner import Learner
from tasks.ppo.losses import approximate_kl, masked_sum, policy_loss, value_loss
from tasks.ppo.policy import Policy
from tasks.ppo.processes import Processes
from tasks.ppo.randomness import permutation
from tasks.ppo.rollout import Answers, chunks, read

STATISTICS = ("tokens", "policy_loss", "clipped", "approx_kl", "value_loss", "value_clipped", "entropy")


@dataclass(frozen=True)
class Experience:
    """What an update learns from: this process's rows of a rollout, 0 on padding."""

    rows: list[int]  # position of each row in the batch over all processes
    answers: Answers
    logp_BT: Tensor
    value_BT: Tensor
    feature_BTH: Tensor
    advantage_BT: Tensor
    return_BT: Tensor

    def take(self, index: list[int]) -> "Experience":
        """Some rows, cut to the longest answer among them."""
        answers = self.answers.rows(index)
        chosen = torch.tensor(index, dtype=torch.long, device=self.logp_BT.device)
        names = ("logp_BT", "value_BT", "feature_BTH", "advantage_BT", "return_BT")
        parts = {name: getattr(self, name)[chosen, : answers.width] for name in names}
        return replace(self, rows=[self.rows[i] for i in index], answers=answers, **parts)


def update(
    config: PPOConfig, learner: Learner, experience: Experience, batch: int, processes: Processes
) -> dict[str, float]:
    """``config.epochs`` passes over the rollout in seeded minibatches; returns means a token, and gradient norms.

    ``batch``: answers of the rollout over all processes. Which answers share a minibatch does not depend on the
    number of processes: each takes its own ones out of the same permutation.
    """
    assert config.seed is not None
    local = {row: position for position, row in enumerate(experience.rows)}
    sums = torch.zeros(len(STATISTICS), dtype=torch.float64, device=processes.device)
    norms: list[tuple[float, float]] = []
    for epoch in range(config.epochs):
        order = permutation(batch, config.seed, "minibatches", learner.iteration, epoch)
        for piece in chunks(batch, config.minibatch):
            mine = [local[order[i]] for i in piece if order[i] in local]
            step_sums = accumulate(config, learner.policy, learner.critic, experience, mine, processes)
            norms.append(_step(config, learner, processes))
            sums += step_sums
    total = dict(zip(STATISTICS, processes.sum(sums).tolist(), strict=True))
    means = {name: total[name] / max(total["tokens"], 1) for name in STATISTICS if name != "tokens"}
    return {
        **means,
        "gradient_norm": sum(policy for policy, _ in norms) / len(norms),
        "value_gradient_norm": sum(critic for _, critic in norms) / len(norms),
    }


def accumulate(
    config: PPOConfig,
    policy: Policy,
    critic: Critic,
    experience: Experience,
    mine: list[int],
    processes: Processes,
) -> Tensor:
    """Gradients of one minibatch from this process's rows ``mine`` of it, and its STATISTICS as sums over tokens.

    The loss is divided by the tokens of the minibatch over all processes, so that micro-batches and processes
    add up to the gradient of the whole, whatever the lengths.
    """
    mine_length_B = experience.answers.length_B[torch.tensor(mine, dtype=torch.long, device=processes.device)]
    tokens = processes.sum(mine_length_B.sum()).clamp(min=1)
    sums = torch.zeros(len(STATISTICS), dtype=torch.float64, device=processes.device)
    for piece in chunks(len(mine), config.micro_batch):
        part = experience.take([mine[i] for i in piece])
        if part.answers.width == 0:
            continue
        mask_BT = length_mask(part.answers.length_B, part.answers.width)
        reading = read(policy.adapted, part.answers, config.temperature, entropy=config.entropy_coefficient > 0)
        gain = policy_loss(reading.logp_BT, part.logp_BT, part.advantage_BT, mask_BT, config.clip)
        fit = value_loss(critic(part.feature_BTH), part.value_BT, part.return_BT, mask_BT, config.value_clip)
        bonus = torch.zeros((), device=processes.device)
        if reading.entropy_BT is not None:
            bonus = masked_sum(reading.entropy_BT, mask_BT)
        ((gain.loss - config.entropy_coefficient * bonus + fit.loss) / tokens).backward()
        with torch.no_grad():
            moved = approximate_kl(reading.logp_BT, part.logp_BT, mask_BT)
            row = (gain.tokens, gain.loss, gain.clipped, moved, fit.loss, fit.clipped, bonus)
            sums += torch.stack([value.detach().double() for value in row])
    return sums


def _step(config: PPOConfig, learner: Learner, processes: Processes) -> tuple[float, float]:
    """Sum the gradients over processes, clip, step both optimisers; returns both gradient norms."""
    policy, critic = list(learner.policy.parameters().values()), list(learner.critic.parameters())
    processes.sum_gradients([*policy, *critic])
    found = []
    for params, what, setting in (
        (policy, "policy", f"ppo.learning_rate={config.learning_rate}"),
        (critic, "critic", f"ppo.value_learning_rate={config.value_learning_rate}"),
    ):
        norm = float(nn.utils.clip_grad_norm_(params, config.clip_gradient))
        if not norm < float("inf"):
            raise Diverged(
                f"the {what}'s gradient norm is {norm} in iteration {learner.iteration + 1}; lower {setting}"
            )
        found.append(norm)
    for optimizer in (learner.policy_optimizer, learner.critic_optimizer):
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return found[0], found[1]
