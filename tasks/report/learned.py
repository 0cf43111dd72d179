"""The head of the page: what the run learned, in a handful of numbers, taken from the stages' metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tasks.report.numbers import change, number, percent, show

Metrics = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Tile:
    """One headline: label, (what, value) steps with arrows between them, a remark, and how to read it."""

    label: str
    steps: list[tuple[str, str]]
    remark: str
    meaning: str


def learned(metrics: Metrics) -> dict[str, dict[str, float]]:
    """The headline numbers by topic; numbers and topics that were not measured are left out.

    ``metrics``: by the report's input names ("base", "finetuned", "reward", "aligned", "evaluation").
    """
    base, tuned = metrics.get("base", {}), metrics.get("finetuned", {})
    reward, ppo, final = metrics.get("reward", {}), metrics.get("aligned", {}), metrics.get("evaluation", {})
    topics = {
        "perplexity": {
            "start": base.get("perplexity_start"),
            "end": base.get("perplexity"),
            "bound": base.get("perplexity_bound"),
            "ratio": base.get("perplexity_ratio"),
        },
        "instruction_following": {
            "base": _first(final.get("instruction_following_base"), tuned.get("instruction_following_start")),
            "finetuned": _first(final.get("instruction_following_finetuned"), tuned.get("instruction_following")),
            "aligned": final.get("instruction_following_aligned"),
        },
        "pair_accuracy": {
            "start": reward.get("pair_accuracy_start"),
            "end": reward.get("pair_accuracy"),
            "length_baseline": reward.get("length_baseline"),
        },
        "reward": {
            "start": ppo.get("reward_start"),
            "end": ppo.get("reward"),
            "start_std": ppo.get("reward_start_std"),
        },
        "rubric": {"start": ppo.get("rubric_start"), "end": ppo.get("rubric")},
        "kl": {"end": ppo.get("kl")},
    }
    found = {
        topic: {name: kept for name, value in values.items() if (kept := number(value)) is not None}
        for topic, values in topics.items()
    }
    return {topic: values for topic, values in found.items() if values}


def aligned_by(metrics: Metrics) -> str:
    """The method that the trl stage names among its metrics; "" for PPO."""
    return str(metrics.get("aligned", {}).get("method", ""))


def tiles(found: Mapping[str, Mapping[str, float]], method: str = "") -> list[Tile]:
    """Headlines for the topics of ``learned`` that are there; ``method`` of alignment, PPO when empty."""
    makers: dict[str, Callable[[Mapping[str, float]], Tile]] = {
        "perplexity": _perplexity,
        "instruction_following": _following,
        "pair_accuracy": _pairs,
        "reward": _reward,
        "rubric": _rubric,
        "kl": partial(_kl, method=method.upper() or "PPO"),
    }
    return [make(found[topic]) for topic, make in makers.items() if topic in found]


def warnings(metrics: Metrics) -> list[str]:
    """What a reader must not miss: signs of over-optimisation, an early stop, a reward no better than length."""
    reward, ppo = metrics.get("reward", {}), metrics.get("aligned", {})
    flagged = number(metrics.get("rankings", {}).get("flagged"))
    flags = ppo.get("flags")
    method = aligned_by(metrics).upper() or "PPO"
    found = [f"{method}: {flag}" for flag in flags] if isinstance(flags, (list, tuple)) else []
    if flagged:
        who = "1 annotator" if flagged == 1 else f"{show(int(flagged))} annotators"
        found.append(f"Rankings: {who} to look at; the section Rankings says why.")
    if ppo.get("stopped"):
        found.append(f"PPO stopped early: {ppo['stopped']}")
    if ppo.get("guard") in ("warn", "stop"):
        found.append(f"PPO guard, {ppo['guard']} at iteration {ppo['guard_step']}: {ppo['guard_reason']}")
    accuracy, length = number(reward.get("pair_accuracy")), number(reward.get("length_baseline"))
    if accuracy is not None and length is not None and accuracy <= length:
        found.append(
            f"The reward model orders {percent(accuracy)} of pairs rightly, judging by length alone {percent(length)}."
        )
    return found


def _perplexity(values: Mapping[str, float]) -> Tile:
    bound = f"best possible {show(values['bound'])}" if "bound" in values else "best possible not known for this text"
    ratio = f"; {values['ratio']:.3f} times that" if "ratio" in values and "bound" in values else ""
    return Tile(
        "Perplexity of held-out text",
        _steps(values, show, {"start": "untrained", "end": "pretrained"}),
        bound + ratio,
        "Among how many equally likely next tokens the model hesitates. Lower is better.",
    )


def _following(values: Mapping[str, float]) -> Tile:
    moved = ""
    if "finetuned" in values and "aligned" in values:
        share = values["aligned"] - values["finetuned"]
        sign = "+" if share > 0 else ""
        moved = f"alignment: {sign}{percent(share)[:-2]} points" if round(share, 3) else "alignment left it unchanged"
    return Tile(
        "Instructions followed",
        _steps(values, percent, {"base": "base", "finetuned": "fine-tuned", "aligned": "aligned"}),
        moved,
        "Share of held-out instructions that the answer carries out.",
    )


def _pairs(values: Mapping[str, float]) -> Tile:
    baseline = f"length alone {percent(values['length_baseline'])}" if "length_baseline" in values else ""
    return Tile(
        "Reward model: pairs ordered rightly",
        _steps(values, percent, {"start": "untrained", "end": "trained"}),
        baseline,
        "On rankings it has not seen; guessing gives 50\u00a0%. Length alone is the least it must beat.",
    )


def _reward(values: Mapping[str, float]) -> Tile:
    remark = change(values.get("start"), values.get("end"))
    if remark and values.get("start_std"):
        deviations = (values["end"] - values["start"]) / values["start_std"]
        remark += f", or {change(0.0, deviations)} standard deviations"
    return Tile(
        "Reward of answers",
        _steps(values, show, {"start": "fine-tuned", "end": "aligned"}),
        remark,
        "The reward model's score of sampled answers to held-out prompts. Only the difference has a meaning.",
    )


def _rubric(values: Mapping[str, float]) -> Tile:
    return Tile(
        "Hidden rubric",
        _steps(values, show, {"start": "fine-tuned", "end": "aligned"}),
        change(values.get("start"), values.get("end")),
        "Points by a rule that no model was trained on: the check on the reward model's word.",
    )


def _kl(values: Mapping[str, float], method: str) -> Tile:
    return Tile(
        f"Distance moved by {method}",
        [("KL divergence", f"{show(values['end'])} nats")],
        "an answer, from the fine-tuned model",
        "How far the aligned model's answers are from where it started. 0 is not at all.",
    )


def _steps(values: Mapping[str, float], form: Any, names: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(label, form(values[name])) for name, label in names.items() if name in values]


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
