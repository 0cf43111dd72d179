"""Signals of over-optimisation: how far a figure has gone from the start, in units of its limit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configs.schema.guard import GuardConfig

GRAM = 3  # tokens


@dataclass(frozen=True)
class Signal:
    """``level``: 0 at the start, 1 at the limit. ``text``: what happened, with the setting that names the limit."""

    name: str
    level: float
    text: str


def repeated_share(ids: Sequence[int], n: int = GRAM) -> float:
    """Share of an answer's n-grams of tokens that stood in it before; 0 for one that is too short."""
    grams = [tuple(ids[start : start + n]) for start in range(len(ids) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def rollout_signals(config: GuardConfig, start: Mapping[str, float], now: Mapping[str, float]) -> list[Signal]:
    """Signals of one iteration's own answers: kl, length, repetition, entropy, ended."""
    found = []
    if config.kl is not None:
        text = f"KL {now['kl']:.3f} nats an answer, ppo.guard.kl={config.kl}"
        found.append(Signal("kl", now["kl"] / config.kl, text))
    if config.length is not None:
        ratio = max(now["length"], 1e-9) / max(start["length"], 1e-9)
        text = f"length {start['length']:.1f} → {now['length']:.1f} tokens, ppo.guard.length={config.length}"
        found.append(Signal("length", abs(math.log(ratio)) / math.log(config.length), text))
    if config.repetition is not None:
        text = (
            f"repeated {GRAM}-grams {start['repetition']:.0%} → {now['repetition']:.0%}, "
            f"ppo.guard.repetition={config.repetition}"
        )
        found.append(Signal("repetition", (now["repetition"] - start["repetition"]) / config.repetition, text))
    if config.entropy is not None:
        fall = 1 - now["entropy"] / max(start["entropy"], 1e-9)
        text = f"entropy {start['entropy']:.3f} → {now['entropy']:.3f} nats a token, ppo.guard.entropy={config.entropy}"
        found.append(Signal("entropy", fall / config.entropy, text))
    if config.truncated is not None:
        text = (
            f"answers that do not end {1 - start['ended']:.0%} → {1 - now['ended']:.0%}, "
            f"ppo.guard.truncated={config.truncated}"
        )
        found.append(Signal("truncated", (start["ended"] - now["ended"]) / config.truncated, text))
    return found


def heldout_signals(
    config: GuardConfig, start: Mapping[str, float], best: float, now: Mapping[str, float]
) -> list[Signal]:
    """Signals of a measurement on held-out prompts: ``gold``, its deviation over the start's answers, disagreement.

    The fall is counted from the best so far, so that a gain which is lost again is seen.
    """
    found = []
    if config.reward_drop is not None and "gold" in now:
        fall = (best - now["gold"]) / max(start["gold_std"], 1e-9)
        text = (
            f"held-out reward {now['gold']:.3f}, {fall:.2f} start deviations below its best {best:.3f}, "
            f"ppo.guard.reward_drop={config.reward_drop}"
        )
        found.append(Signal("reward_drop", fall / config.reward_drop, text))
    if config.disagreement is not None and "disagreement" in now:
        rise = now["disagreement"] / max(start["disagreement"], 1e-9) - 1
        text = (
            f"disagreement of the reward model's members {start['disagreement']:.3f} → {now['disagreement']:.3f}, "
            f"ppo.guard.disagreement={config.disagreement}"
        )
        found.append(Signal("disagreement", rise / config.disagreement, text))
    return found
