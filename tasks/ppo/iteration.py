"""One iteration of PPO: answer, score, penalise, estimate advantages, update."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from configs.schema.ppo import PPOConfig
from tasks.chat import decode_answer, end_ids
from tasks.ppo.advantages import explained_variance, gae, moments, whiten
from tasks.ppo.learner import Learner
from tasks.ppo.penalties import RewardScale, kl_tokens, token_rewards
from tasks.ppo.processes import Processes
from tasks.ppo.prompts import Prompt
from tasks.ppo.randomness import draw, generator
from tasks.ppo.rollout import Answers, lay_out, read_all
from tasks.ppo.scoring import Score, finite
from tasks.ppo.update import Experience, update
from tasks.sampling import generate


@dataclass(frozen=True)
class Roles:
    """What stays the same from iteration to iteration."""

    config: PPOConfig
    processes: Processes
    tokenizer: PreTrainedTokenizerBase
    prompts: list[Prompt]
    score: Score


@dataclass(frozen=True)
class Rollout:
    """This process's answers, and what reference, critic and reward model say of them."""

    rows: list[int]
    answers: Answers
    ended_B: Tensor
    logp_BT: Tensor
    reference_BT: Tensor
    entropy_BT: Tensor
    value_BT: Tensor
    feature_BTH: Tensor
    score_B: Tensor


def sample(
    roles: Roles, learner: Learner, prompts: list[Prompt], rng: torch.Generator
) -> tuple[Answers, Tensor, list[str]]:
    """Sampled answers, which of them ended by themselves, and their texts."""
    config, tokenizer = roles.config, roles.tokenizer
    ends, pad_id = end_ids(tokenizer), int(tokenizer.pad_token_id)
    ids: list[list[int]] = []
    if prompts:
        ids = generate(
            learner.policy.merged,
            [prompt.ids for prompt in prompts],
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            end_ids=ends,
            pad_id=pad_id,
            generator=rng,
        )
    device = roles.processes.device
    ended_B = torch.tensor([bool(answer) and answer[-1] in ends for answer in ids], dtype=torch.bool, device=device)
    answers = lay_out([prompt.ids for prompt in prompts], ids, pad_id, device)
    return answers, ended_B, [decode_answer(tokenizer, answer) for answer in ids]


def roll_out(roles: Roles, learner: Learner) -> Rollout:
    """Answer this iteration's prompts and read the answers with every role.

    The old log-probabilities come from the forward pass that is trained, not from the sampler.
    """
    config, processes = roles.config, roles.processes
    assert config.seed is not None
    chosen = draw(len(roles.prompts), learner.cursor, config.batch, config.seed)
    rows = processes.share(config.batch)
    prompts = [roles.prompts[chosen[row]] for row in rows]
    rng = generator(config.seed, "rollout", learner.iteration, processes.rank, device=processes.device)
    answers, ended_B, texts = sample(roles, learner, prompts, rng)
    size = config.micro_batch or config.minibatch
    own = read_all(learner.policy.adapted, answers, config.temperature, size, entropy=True)
    with learner.policy.reference() as reference:
        start = read_all(reference, answers, config.temperature, size, features=True)
    assert own.entropy_BT is not None
    assert start.feature_BTH is not None
    with torch.no_grad():
        value_BT = learner.critic(start.feature_BTH) if rows else torch.zeros_like(own.logp_BT)
    asked = [prompt.text for prompt in prompts]
    score_B = finite(roles.score(asked, texts), asked).to(processes.device)
    return Rollout(
        rows, answers, ended_B, own.logp_BT, start.logp_BT, own.entropy_BT, value_BT, start.feature_BTH, score_B
    )


def iterate(roles: Roles, learner: Learner) -> dict[str, float] | None:
    """One round; returns its row of the curve, or None when the KL limit stops the run before the update."""
    config, processes = roles.config, roles.processes
    rollout = roll_out(roles, learner)
    mask_BT = rollout.answers.mask_BT
    kl = _mean_answer((rollout.logp_BT - rollout.reference_BT).sum(1), processes)
    if config.kl.limit is not None and kl > config.kl.limit:
        learner.stopped = (
            f"KL {kl:.3f} nats an answer exceeds ppo.kl.limit={config.kl.limit} after {learner.iteration} iterations"
        )
        return None
    if learner.scale is None:
        learner.scale = _measure_scale(rollout.score_B, processes) if config.normalise_reward else RewardScale()
    score_B, clipped_B = learner.scale.apply(rollout.score_B, config.reward_clip)
    kl_BT = kl_tokens(rollout.logp_BT, rollout.reference_BT, config.kl_estimator)
    beta = learner.control.beta
    reward_BT = token_rewards(
        kl_BT, score_B, rollout.answers.length_B, rollout.ended_B, beta, config.missing_eos_penalty
    )
    advantage_BT, return_BT = gae(reward_BT, rollout.value_BT, mask_BT, config.gamma, config.lam)
    explained = explained_variance(rollout.value_BT, return_BT, mask_BT, processes.sum)
    if config.whiten_advantages:
        advantage_BT = whiten(advantage_BT, mask_BT, processes.sum)
    experience = Experience(
        rollout.rows,
        rollout.answers,
        rollout.logp_BT,
        rollout.value_BT,
        rollout.feature_BTH,
        advantage_BT,
        return_BT,
    )
    learned = update(config, learner, experience, config.batch, processes)
    learner.control.update(kl, config.batch)
    learner.policy.refresh()
    learner.iteration += 1
    learner.cursor += config.batch
    tokens = processes.sum(rollout.answers.length_B.sum()).clamp(min=1)
    row = {
        "step": learner.iteration,
        "loss": learned["policy_loss"],
        "value_loss": learned["value_loss"],
        "reward": _mean_answer(rollout.score_B, processes),
        "kl": kl,
        "beta": beta,
        "entropy": float(processes.sum(rollout.entropy_BT.sum()) / tokens),
        "approx_kl": learned["approx_kl"],
        "clip_fraction": learned["clipped"],
        "value_clip_fraction": learned["value_clipped"],
        "reward_clip_fraction": _mean_answer(clipped_B, processes),
        "explained_variance": explained,
        "length": _mean_answer(rollout.answers.length_B, processes),
        "ended": _mean_answer(rollout.ended_B, processes),
        "gradient_norm": learned["gradient_norm"],
        "value_gradient_norm": learned["value_gradient_norm"],
    }
    return {name: value if name == "step" else round(value, 6) for name, value in row.items()}


def _mean_answer(value_B: Tensor, processes: Processes) -> float:
    """Mean over the answers of all processes."""
    return float(moments(value_B[:, None], torch.ones_like(value_B[:, None], dtype=torch.bool), processes.sum)[0])


def _measure_scale(score_B: Tensor, processes: Processes) -> RewardScale:
    """Mean and deviation of the start model's scores; a reward that does not vary is only shifted."""
    mean, deviation = moments(score_B[:, None], torch.ones_like(score_B[:, None], dtype=torch.bool), processes.sum)
    return RewardScale(float(mean), float(deviation) if deviation > 1e-6 else 1.0)
