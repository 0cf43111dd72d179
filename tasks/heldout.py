"""Sampled answers to held-out prompts before and after alignment: their figures, and what must not be missed."""

from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any, Literal

from tasks.prompt_sets import Prompt

SHOWN = 12  # prompts in samples.jsonl


@dataclass(frozen=True)
class Measurement:
    """One entry an answer; ``heldout_samples`` answers a prompt, next to each other. Plain JSON values."""

    answers: list[str]
    ids: list[list[int]]
    ended: list[bool]
    score: list[float]  # raw, as the reward model gives it
    rubric: list[float]  # empty without a rubric
    kl: list[float]  # nats of the whole answer, one sample's estimate

    def plain(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)


def rubric_scores(rubric: Literal["world", "none"], prompts: list[str], answers: list[str]) -> list[float]:
    """The hidden rubric's marks; empty without a rubric."""
    if rubric == "none":
        return []
    from tasks.world.rubric import score  # only the small world needs it

    return [float(score(prompt, answer)) for prompt, answer in zip(prompts, answers, strict=True)]


def metrics_of(start: Measurement, end: Measurement) -> dict[str, Any]:
    """The metrics that the stage reports, and what looks like over-optimisation in them."""
    values: dict[str, Any] = {
        "reward_start": fmean(start.score),
        "reward": fmean(end.score),
        "reward_start_std": pstdev(start.score),
        "kl": fmean(end.kl),
        "length_start": fmean(len(ids) for ids in start.ids),
        "length": fmean(len(ids) for ids in end.ids),
        "ended_start": fmean(start.ended),
        "ended": fmean(end.ended),
    }
    if start.rubric:
        values |= {"rubric_start": fmean(start.rubric), "rubric": fmean(end.rubric)}
    return {**values, "flags": _flags(values)}


def _flags(values: dict[str, Any]) -> list[str]:
    """Signs that the policy learned the reward model and not the task (Gao et al. 2022)."""
    flags = []
    if "rubric" in values and values["reward"] > values["reward_start"] and values["rubric"] < values["rubric_start"]:
        flags.append(f"reward rose while the rubric fell from {values['rubric_start']:.2f} to {values['rubric']:.2f}")
    if not 2 / 3 < values["length"] / max(values["length_start"], 1e-9) < 3 / 2:
        flags.append(f"mean length went from {values['length_start']:.0f} to {values['length']:.0f} tokens")
    if values["ended"] < values["ended_start"] - 0.1:
        flags.append(f"the share of answers that end fell from {values['ended_start']:.0%} to {values['ended']:.0%}")
    return flags


def sample_rows(heldout: list[Prompt], samples: int, start: Measurement, end: Measurement) -> list[dict[str, Any]]:
    """The first of ``samples`` answers to some of the prompts, before and after, with their raw rewards."""
    rows = []
    for number, prompt in enumerate(heldout[:SHOWN]):
        at = number * samples
        row: dict[str, Any] = {"prompt": prompt.text}
        for name, found in (("start", start), ("aligned", end)):
            row[name] = found.answers[at]
            row[f"{name}_reward"] = round(found.score[at], 4)
            row[f"{name}_ended"] = found.ended[at]
        rows.append(row)
    return rows
