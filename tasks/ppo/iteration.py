"""One iteration of PPO: answer, score, penalise, estimate advantages, update."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from configs.schema.ppo import PPOConfig
from tasks.chat import decode_answer, end_ids
from tasks.engines.engine import Engine, Sampling
from tasks.engines.native import NativeEngine
from tasks.ppo.advantages import explained_variance, gae, moments, whiten
from tasks.ppo.curriculum import draw_prompts, used_up
from tasks.ppo.experience import Experience, Round
from tasks.ppo.learner import Learner
from tasks.ppo.penalties import RewardScale, kl_tokens, token_rewards
from tasks.ppo.processes import Processes
from tasks.ppo.ptx import Texts
from tasks.ppo.rollout import Answers, chunks, lay_out, read_all
from tasks.ppo.signals import repeated_share
from tasks.ppo.table import Table
from tasks.ppo.update import finished, step, summary
from tasks.prompt_sets import Prompt
from tasks.randomness import generator
from tasks.rewards import Rewards


@dataclass(frozen=True)
class Roles:
    """What stays the same from iteration to iteration."""

    config: PPOConfig
    processes: Processes
    tokenizer: PreTrainedTokenizerBase
    prompts: list[Prompt]
    rewards: Rewards
    texts: Texts | None = None  # of the pretraining gradient
    ends: list[int] | None = None  # ids that end an answer; those of the tokenizer when empty
    engine: Engine = field(default_factory=NativeEngine)
    table: Table | None = None  # of sampled answers


@dataclass(frozen=True)
class Rollout:
    """This process's answers, and what policy, reference and critic say of them."""

    rows: list[int]
    prompts: list[Prompt]
    answers: Answers
    texts: list[str]
    ended_B: Tensor
    logp_BT: Tensor
    reference_BT: Tensor
    entropy_BT: Tensor
    value_BT: Tensor
    feature_BTH: Tensor | None


@dataclass(frozen=True)
class Scored:
    """What the answers of a rollout are paid: raw and normalised scores, and each token's reward."""

    raw_B: Tensor
    terms: dict[str, Tensor]
    clipped_B: Tensor
    penalty_BT: Tensor  # -beta * KL
    reward_BT: Tensor


def iterate(roles: Roles, learner: Learner, after_step: Callable[[], None] | None = None) -> dict[str, float] | None:
    """One round; returns its row of the curve, or None when the KL limit, or the end of the prompts, stops
    the run before the update.

    ``after_step`` is called between two optimiser steps, where the learner can be saved. A learner that was saved there
    goes on with the update that it was in.
    """
    config, processes = roles.config, roles.processes
    if learner.round is None:
        learner.stopped = used_up(config, len(roles.prompts), learner.cursor)
        if learner.stopped:
            return None
        rollout = roll_out(roles, learner)
        if over_limit(config, learner, rollout, processes):
            return None
        scored = score(roles, learner, rollout)
        learner.round = estimate(config, learner, rollout, scored, processes)
        if roles.table is not None:
            roles.table(learner.iteration + 1, rollout, scored, learner.round)
    while not finished(config, learner.round):
        step(config, learner, learner.round, config.batch, processes, roles.texts)
        if after_step is not None and not finished(config, learner.round):
            after_step()
    return finish(config, learner, learner.round)


def sample(
    roles: Roles, learner: Learner, prompts: list[Prompt], rng: torch.Generator
) -> tuple[Answers, Tensor, list[str]]:
    """Sampled answers, which of them ended by themselves, and their texts."""
    config, tokenizer = roles.config, roles.tokenizer
    ends, pad_id = roles.ends or end_ids(tokenizer), int(tokenizer.pad_token_id)
    ids: list[list[int]] = []
    roles.engine.sync(learner.policy)
    roles.processes.wait()  # one process may sync for all
    if prompts:
        sampling = Sampling(config.max_new_tokens, config.temperature, ends, pad_id)
        ids = [answer.ids for answer in roles.engine.generate([prompt.ids for prompt in prompts], sampling, rng)]
    device = roles.processes.device
    ended_B = torch.tensor([bool(answer) and answer[-1] in ends for answer in ids], dtype=torch.bool, device=device)
    answers = lay_out([prompt.ids for prompt in prompts], ids, pad_id, device)
    texts = [answer_text(roles, prompt, answer) for prompt, answer in zip(prompts, ids, strict=True)]
    return answers, ended_B, texts


def answer_text(roles: Roles, prompt: Prompt, ids: list[int]) -> str:
    """Text of an answer without its end token; of a turn in a chat without surrounding blanks."""
    if not prompt.continued:
        return decode_answer(roles.tokenizer, ids)
    kept = ids[:-1] if ids and ids[-1] in (roles.ends or end_ids(roles.tokenizer)) else ids
    return str(roles.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def roll_out(roles: Roles, learner: Learner) -> Rollout:
    """Answer this iteration's prompts and read the answers with policy, reference and critic.

    The old log-probabilities come from the forward pass that is trained, not from the sampler.
    """
    config, processes = roles.config, roles.processes
    assert config.seed is not None
    chosen = draw_prompts(config, roles.prompts, learner.cursor)
    rows = processes.share(config.batch)
    prompts = [roles.prompts[chosen[row]] for row in rows]
    rng = generator(config.seed, "rollout", learner.iteration, processes.rank, device=processes.device)
    answers, ended_B, texts = sample(roles, learner, prompts, rng)
    size = config.micro_batch or config.minibatch
    own = read_all(learner.policy.adapted, answers, config.temperature, size, entropy=True)
    needed = learner.critic.needs_features
    with learner.policy.reference() as reference:
        start = read_all(reference, answers, config.temperature, size, features=needed)
    assert own.entropy_BT is not None
    value_BT = values_of(learner, answers, start.feature_BTH, None if needed else size)
    return Rollout(
        rows,
        prompts,
        answers,
        texts,
        ended_B,
        own.logp_BT,
        start.logp_BT,
        own.entropy_BT,
        value_BT,
        start.feature_BTH,
    )


@torch.no_grad()
def values_of(learner: Learner, answers: Answers, feature_BTH: Tensor | None, size: int | None) -> Tensor:
    """value_BT of a whole rollout, ``size`` rows a pass of the critic."""
    value_BT = torch.zeros(answers.mask_BT.shape, device=answers.ids_BL.device)
    for piece in chunks(len(value_BT), size):
        part = answers.rows(piece)
        features = None if feature_BTH is None else feature_BTH[piece.start : piece.stop, : part.width]
        value_BT[piece.start : piece.stop, : part.width] = learner.critic.values(part, features)
    return value_BT


def over_limit(config: PPOConfig, learner: Learner, rollout: Rollout, processes: Processes) -> bool:
    """Whether the KL of a rollout ends the run; the learner then says so."""
    kl = answer_kl(rollout, processes)
    if config.kl.limit is None or kl <= config.kl.limit:
        return False
    learner.stopped = (
        f"KL {kl:.3f} nats an answer exceeds ppo.kl.limit={config.kl.limit} after {learner.iteration} iterations"
    )
    return True


def answer_kl(rollout: Rollout, processes: Processes) -> float:
    """KL of policy and reference in nats an answer, on the sampled answers of all processes."""
    return _mean_answer((rollout.logp_BT - rollout.reference_BT).sum(1), processes)


def score(roles: Roles, learner: Learner, rollout: Rollout) -> Scored:
    """Score the answers, normalise and clip, and spread reward and KL penalty over the tokens."""
    config, processes = roles.config, roles.processes
    found = roles.rewards(rollout.prompts, rollout.texts)
    raw_B = found.total_B.to(processes.device)
    if learner.scale is None:
        learner.scale = _measure_scale(raw_B, processes) if config.normalise_reward else RewardScale()
    score_B, clipped_B = learner.scale.apply(raw_B, config.reward_clip)
    kl_BT = kl_tokens(rollout.logp_BT, rollout.reference_BT, config.kl_estimator)
    beta, length_B = learner.control.beta, rollout.answers.length_B
    reward_BT = token_rewards(kl_BT, score_B, length_B, rollout.ended_B, beta, config.missing_eos_penalty)
    return Scored(raw_B, found.terms, clipped_B, -beta * kl_BT, reward_BT)


def estimate(config: PPOConfig, learner: Learner, rollout: Rollout, scored: Scored, processes: Processes) -> Round:
    """Advantages and returns; what the update learns from, and the figures of the rollout."""
    mask_BT, value_BT = rollout.answers.mask_BT, rollout.value_BT
    advantage_BT, return_BT = gae(scored.reward_BT, value_BT, mask_BT, config.gamma, config.lam)
    explained = explained_variance(value_BT, return_BT, mask_BT, processes.sum)
    if config.whiten_advantages:
        advantage_BT = whiten(advantage_BT, mask_BT, processes.sum)
    experience = Experience(
        rollout.rows, rollout.answers, rollout.logp_BT, value_BT, rollout.feature_BTH, advantage_BT, return_BT
    )
    tokens = processes.sum(rollout.answers.length_B.sum()).clamp(min=1)
    terms = scored.terms if len(scored.terms) > 1 else {}
    figures = {
        "reward": _mean_answer(scored.raw_B, processes),
        **{f"reward_{name}": _mean_said(score_B, processes) for name, score_B in terms.items()},
        "penalty": _mean_answer(scored.penalty_BT.sum(1), processes),
        "kl": answer_kl(rollout, processes),
        "beta": learner.control.beta,
        "entropy": float(processes.sum(rollout.entropy_BT.sum()) / tokens),
        "surprise": _mean_answer(-rollout.logp_BT.sum(1), processes),
        "reward_clip_fraction": _mean_answer(scored.clipped_B, processes),
        "explained_variance": explained,
        "length": _mean_answer(rollout.answers.length_B, processes),
        "ended": _mean_answer(rollout.ended_B, processes),
        "repetition": _mean_answer(_repeated(rollout.answers), processes),
    }
    return Round(experience, figures)


def finish(config: PPOConfig, learner: Learner, done: Round) -> dict[str, float]:
    """Move beta, the counters and the sampler on; returns the row of the curve."""
    learned, figures = summary(config, done), done.figures
    if learner.iteration >= config.critic.warmup:
        learner.control.update(figures["kl"], config.batch)
    learner.policy.refresh()
    learner.iteration += 1
    learner.cursor += config.batch
    learner.round = None
    row = {
        "step": learner.iteration,
        "loss": learned["policy_loss"],
        "value_loss": learned["value_loss"],
        **{name: value for name, value in figures.items() if name == "reward" or name.startswith("reward_")},
        "penalty": figures["penalty"],
        "kl": figures["kl"],
        "beta": figures["beta"],
        "entropy": figures["entropy"],
        "surprise": figures["surprise"],
        "approx_kl": learned["approx_kl"],
        "clip_fraction": learned["clipped"],
        "dual_clip_fraction": learned["dual"],
        "value_clip_fraction": learned["value_clipped"],
        "explained_variance": figures["explained_variance"],
        "length": figures["length"],
        "ended": figures["ended"],
        "repetition": figures["repetition"],
        "ratio": learned["ratio"],
        "ratio_variance": learned["ratio_variance"],
        "skipped": learned["skipped"],
        **({"ptx_loss": learned["ptx_loss"]} if "ptx_loss" in learned else {}),
        "gradient_norm": learned["gradient_norm"],
        "value_gradient_norm": learned["value_gradient_norm"],
        "lr": learner.policy_optimizer.param_groups[0]["lr"],
        "value_lr": learner.critic_optimizer.param_groups[0]["lr"],
    }
    return {name: value if name in ("step", "lr", "value_lr") else round(value, 6) for name, value in row.items()}


def _repeated(answers: Answers) -> Tensor:
    """Share of repeated n-grams of each answer, [B]."""
    first, ids, lengths = answers.prompt_width, answers.ids_BL.tolist(), answers.length_B.tolist()
    shares = [repeated_share(row[first : first + length]) for row, length in zip(ids, lengths, strict=True)]
    return torch.tensor(shares, device=answers.ids_BL.device)


def _mean_answer(value_B: Tensor, processes: Processes) -> float:
    """Mean over the answers of all processes."""
    return float(moments(value_B[:, None], torch.ones_like(value_B[:, None], dtype=torch.bool), processes.sum)[0])


def _mean_said(score_B: Tensor, processes: Processes) -> float:
    """Mean over the answers of all processes of which the term says something."""
    score_B1 = score_B[:, None].to(processes.device)
    return float(moments(score_B1, ~score_B1.isnan(), processes.sum)[0])


def _measure_scale(score_B: Tensor, processes: Processes) -> RewardScale:
    """Mean and deviation of the start model's scores; a reward that does not vary is only shifted."""
    mean, deviation = moments(score_B[:, None], torch.ones_like(score_B[:, None], dtype=torch.bool), processes.sum)
    return RewardScale(float(mean), float(deviation) if deviation > 1e-6 else 1.0)
