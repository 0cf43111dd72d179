"""Gradient steps on one rollout."""

import torch
from torch import Tensor, nn

from configs.schema.ppo import PPOConfig
from tasks.failures import Diverged
from tasks.ppo.advantages import length_mask
from tasks.ppo.critic import AnyCritic
from tasks.ppo.experience import STATISTICS, Experience, Round
from tasks.ppo.learner import Learner
from tasks.ppo.losses import approximate_kl, masked_sum, policy_loss, value_loss
from tasks.ppo.policy import AnyPolicy
from tasks.ppo.processes import Processes
from tasks.ppo.ptx import Texts, text_loss
from tasks.ppo.rates import set_rate, share_of_peak
from tasks.ppo.rollout import chunks, read
from tasks.randomness import permutation


def update(
    config: PPOConfig,
    learner: Learner,
    experience: Experience,
    batch: int,
    processes: Processes,
    texts: Texts | None = None,
) -> dict[str, float]:
    """A whole update from a rollout; returns means a token, and gradient norms."""
    under_way = Round(experience, {})
    while not finished(config, under_way):
        step(config, learner, under_way, batch, processes, texts)
    return summary(config, under_way)


def finished(config: PPOConfig, under_way: Round) -> bool:
    """True when ``config.epochs`` passes are made, or the target KL ended them."""
    return under_way.stopped or under_way.done == config.update_steps


def step(
    config: PPOConfig,
    learner: Learner,
    under_way: Round,
    batch: int,
    processes: Processes,
    texts: Texts | None = None,
) -> None:
    """One optimiser step on the next seeded minibatch of the rollout.

    ``batch``: answers of the rollout over all processes. Which answers share a minibatch does not depend on the
    number of processes: each takes its own ones out of the same permutation.
    """
    assert config.seed is not None
    experience = under_way.experience
    pieces = chunks(batch, config.minibatch)
    epoch, number = divmod(under_way.done, len(pieces))
    order = permutation(batch, config.seed, "minibatches", learner.iteration, epoch)
    local = {row: position for position, row in enumerate(experience.rows)}
    mine = [local[order[i]] for i in pieces[number] if order[i] in local]
    warming = learner.iteration < config.critic.warmup
    own = accumulate(config, learner.policy, learner.critic, experience, mine, processes, critic_alone=warming)
    sums = processes.sum(own)
    means = _means(sums)
    if config.target_kl is not None and means["approx_kl"] > config.target_kl:
        under_way.stopped = True
        for optimizer in (learner.policy_optimizer, learner.critic_optimizer):
            optimizer.zero_grad(set_to_none=True)
        return
    figures = {"ratio": means["ratio"]}
    if texts is not None and not warming:
        figures["ptx_loss"] = text_loss(config, learner.policy.adapted, texts, learner.text_cursor, processes)
        learner.text_cursor += config.ptx.batch
    figures |= _step(config, learner, processes, under_way.done, warming)
    under_way.sums = under_way.sums + sums.cpu()
    under_way.steps.append(figures)
    under_way.done += 1


def summary(config: PPOConfig, under_way: Round) -> dict[str, float]:
    """Means a token over all steps of an update, mean gradient norms, and the share of steps that were left out."""
    made = under_way.steps
    names = made[0] if made else ("gradient_norm", "value_gradient_norm")
    ratios = torch.tensor([figures["ratio"] for figures in made], dtype=torch.float64)
    return {
        **_means(under_way.sums),
        **{name: sum(figures[name] for figures in made) / max(len(made), 1) for name in names if name != "ratio"},
        "ratio_variance": float(ratios.var()) if len(made) > 1 else 0.0,
        "skipped": 1 - under_way.done / config.update_steps,
    }


def _means(sums: Tensor) -> dict[str, float]:
    total = dict(zip(STATISTICS, sums.tolist(), strict=True))
    return {name: total[name] / max(total["tokens"], 1) for name in STATISTICS if name != "tokens"}


def accumulate(
    config: PPOConfig,
    policy: AnyPolicy,
    critic: AnyCritic,
    experience: Experience,
    mine: list[int],
    processes: Processes,
    critic_alone: bool = False,
) -> Tensor:
    """Gradients of one minibatch from this process's rows ``mine`` of it, and its STATISTICS as sums over tokens.

    The loss is divided by the tokens of the minibatch over all processes, so that micro-batches and processes
    add up to the gradient of the whole, whatever the lengths. ``critic_alone``: the policy is not read.
    """
    mine_length_B = experience.answers.length_B[torch.tensor(mine, dtype=torch.long, device=processes.device)]
    tokens = processes.sum(mine_length_B.sum()).clamp(min=1)
    sums = torch.zeros(len(STATISTICS), dtype=torch.float64, device=processes.device)
    for piece in chunks(len(mine), config.micro_batch):
        part = experience.take([mine[i] for i in piece])
        if part.answers.width == 0:
            continue
        mask_BT = length_mask(part.answers.length_B, part.answers.width)
        found = {"tokens": mask_BT.sum()}
        if not critic_alone:
            found |= _policy_gradients(config, policy, part, mask_BT, tokens)
        found |= _critic_gradients(config, critic, part, mask_BT, tokens)
        zero = torch.zeros((), device=processes.device)
        sums += torch.stack([found.get(name, zero).detach().double() for name in STATISTICS])
    return sums


def _policy_gradients(
    config: PPOConfig, policy: AnyPolicy, part: Experience, mask_BT: Tensor, tokens: Tensor
) -> dict[str, Tensor]:
    reading = read(policy.adapted, part.answers, config.temperature, entropy=config.entropy_coefficient > 0)
    gain = policy_loss(
        reading.logp_BT, part.logp_BT, part.advantage_BT, mask_BT, config.clip, dual_clip=config.dual_clip
    )
    bonus = torch.zeros((), device=mask_BT.device)
    if reading.entropy_BT is not None:
        bonus = masked_sum(reading.entropy_BT, mask_BT)
    ((gain.loss - config.entropy_coefficient * bonus) / tokens).backward()
    with torch.no_grad():
        moved = approximate_kl(reading.logp_BT, part.logp_BT, mask_BT)
    return {
        "policy_loss": gain.loss,
        "clipped": gain.clipped,
        "approx_kl": moved,
        "entropy": bonus,
        "dual": gain.dual,
        "ratio": gain.ratio,
    }


def _critic_gradients(
    config: PPOConfig, critic: AnyCritic, part: Experience, mask_BT: Tensor, tokens: Tensor
) -> dict[str, Tensor]:
    """Of its own graph, after the policy's is freed: two models' activations never lie in memory together."""
    value_BT = critic.values(part.answers, part.feature_BTH)
    fit = value_loss(value_BT, part.value_BT, part.return_BT, mask_BT, config.value_clip)
    (config.value_coefficient * fit.loss / tokens).backward()
    return {"value_loss": fit.loss, "value_clipped": fit.clipped}


def _step(config: PPOConfig, learner: Learner, processes: Processes, done: int, warming: bool) -> dict[str, float]:
    """Sum the gradients over processes, clip, step the optimisers; returns both gradient norms."""
    policy, critic = list(learner.policy.parameters().values()), list(learner.critic.trained().values())
    processes.sum_gradients([*policy, *critic])
    found = {}
    for params, name, setting in (
        (policy, "", f"ppo.learning_rate={config.learning_rate}"),
        (critic, "value_", f"ppo.value_learning_rate={config.value_learning_rate}"),
    ):
        norm = float(nn.utils.clip_grad_norm_(params, config.clip_gradient))
        if not norm < float("inf"):
            what = "critic" if name else "policy"
            raise Diverged(
                f"the {what}'s gradient norm is {norm} in iteration {learner.iteration + 1}; lower {setting}"
            )
        found[f"{name}gradient_norm"] = norm
    at, steps = learner.iteration * config.update_steps + done, config.iterations * config.update_steps
    set_rate(learner.policy_optimizer, share_of_peak(config.rate, at, steps))
    set_rate(learner.critic_optimizer, share_of_peak(config.value_rate, at, steps))
    if not warming:
        learner.policy_optimizer.step()
        if learner.average is not None:
            learner.average.update(learner.policy.parameters())
    learner.critic_optimizer.step()
    for optimizer in (learner.policy_optimizer, learner.critic_optimizer):
        optimizer.zero_grad(set_to_none=True)
    return found
