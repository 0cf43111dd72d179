"""Which columns of ``training/curve.jsonl`` belong in one chart, in which unit, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.report.chart import Chart, Point, line_chart
from tasks.report.numbers import number, words

STEP = "step"


@dataclass(frozen=True)
class Panel:
    """One chart: its series as name → columns that may hold it (the first one present is drawn)."""

    title: str
    unit: str
    series: dict[str, tuple[str, ...]]
    meaning: str
    noisy: bool = True


RATE = Panel(
    "Learning rate",
    "1/step",
    {"learning rate": ("lr",)},
    "Rises during the warm-up, then falls along a cosine.",
    noisy=False,
)
NORM = Panel(
    "Gradient norm",
    "before clipping",
    {"gradient norm": ("grad_norm", "gradient_norm"), "critic": ("value_gradient_norm",)},
    "Size of each update's gradient. Lone spikes are normal; endless growth means that training diverges.",
)
ENTROPY = Panel(
    "Entropy",
    "nats/token",
    {"entropy": ("entropy",)},
    "How undecided the model is at a token. At 0 it says the same thing every time.",
)
LENGTH = Panel(
    "Answer length",
    "tokens",
    {"length": ("length",)},
    "Mean length of the answers. Steady growth while the reward rises hints at padding.",
)
ENDED = Panel(
    "Answers that ended",
    "share",
    {"ended": ("ended",)},
    "Share of answers that came to an end by themselves within the limit.",
)


def _loss(meaning: str, unit: str = "nats/token") -> Panel:
    held = ("heldout_loss",)
    return Panel("Loss", unit, {"training": ("loss",), "held out": held}, meaning)


PANELS: dict[str, tuple[Panel, ...]] = {
    "pretrain": (
        _loss("How surprised the model is by the next token of its training text. Lower is better."),
        RATE,
        NORM,
    ),
    "finetune": (
        _loss("Surprise at the reference answers, the assistant's tokens alone. Lower is better."),
        RATE,
        NORM,
    ),
    "reward": (
        _loss(
            "Ranking loss. Guessing gives 0.693 a pair (ln 2); lower means that better answers score higher.",
            "nats",
        ),
        Panel(
            "Pair accuracy",
            "share",
            {
                "training": ("accuracy",),
                "held out": ("heldout_accuracy",),
            },
            "Share of pairs in which the better answer got the higher score. Guessing gives 0.5.",
        ),
        RATE,
        NORM,
    ),
    "ppo": (
        Panel(
            "Reward",
            "score",
            {
                "rollouts": ("reward",),
                "held out": ("heldout_reward",),
            },
            "The reward model's mean score of the answers sampled in an iteration. It should rise.",
        ),
        Panel(
            "Rubric",
            "points",
            {"rollouts": ("rubric",), "held out": ("heldout_rubric",)},
            "The hidden rubric, never trained on. Reward up and rubric down: the reward is being gamed.",
        ),
        Panel(
            "KL from the fine-tuned model",
            "nats/answer",
            {"KL": ("kl",)},
            "How far the answers have moved from the start. Some is learning; a steep climb is a warning.",
        ),
        Panel(
            "Clip fraction",
            "share",
            {
                "policy ratio": ("clip_fraction",),
                "value": ("value_clip_fraction",),
                "reward": ("reward_clip_fraction",),
            },
            "Share of tokens (reward: of answers) that were clipped. Above 0.3 the steps are too large.",
        ),
        ENTROPY,
        LENGTH,
        ENDED,
        Panel(
            "KL of one update",
            "nats/token",
            {"KL": ("approx_kl",)},
            "How far the passes over one rollout moved the policy. It should stay small.",
        ),
        Panel(
            "Policy loss",
            "advantage",
            {"policy loss": ("loss",)},
            "The clipped objective. Its level means little; a sudden jump means trouble.",
        ),
        Panel(
            "Value loss",
            "reward²",
            {"value loss": ("value_loss",)},
            "Squared error of the critic's forecast of the reward. Lower is better.",
        ),
        Panel(
            "Explained variance",
            "share",
            {"explained variance": ("explained_variance",)},
            "How much of the differences in return the critic foresees: 1 is all, 0 is none.",
        ),
        Panel(
            "KL coefficient",
            "reward/nat",
            {"coefficient": ("beta",)},
            "The price of moving away from the fine-tuned model.",
            noisy=False,
        ),
        RATE,
        NORM,
    ),
    "trl": (
        Panel(
            "Loss",
            "TRL's loss",
            {"loss": ("loss",)},
            "The method's own objective. With GRPO and RLOO its level means nothing.",
        ),
        Panel(
            "Reward",
            "score",
            {"answers": ("reward",)},
            "The mean reward of the answers sampled in a step. It should rise.",
        ),
        Panel(
            "Margin",
            "implicit reward",
            {"margin": ("margin",), "preferred": ("chosen_reward",), "other": ("rejected_reward",)},
            "How much likelier the preferred answers became than the others. If both fall, the model only unlearns.",
        ),
        Panel(
            "Pairs in the right order",
            "share",
            {"training": ("accuracy",)},
            "Share of pairs whose preferred answer gained more. Guessing gives 0.5.",
        ),
        Panel(
            "KL from the fine-tuned model",
            "nats/answer",
            {"KL": ("kl",)},
            "How far the answers have moved from the start. Some is learning; a steep climb is a warning.",
        ),
        ENTROPY,
        LENGTH,
        ENDED,
        Panel(
            "Prompts without a difference",
            "share",
            {"prompts": ("equal_rewards",)},
            "Prompts whose answers all got the same reward: they teach nothing.",
        ),
        RATE,
        NORM,
    ),
}


def charts(stage: str, rows: Sequence[dict[str, Any]]) -> tuple[list[Chart], list[Chart]]:
    """Charts of a stage: those with a known meaning, and one for every other numeric column."""
    x_unit = "iteration" if stage == "ppo" else "step"
    known, used = [], {STEP}
    for panel in PANELS.get(stage, ()):
        columns = {name: _column(candidates, rows) for name, candidates in panel.series.items()}
        series = {name: points(rows, column) for name, column in columns.items() if column}
        used.update(column for column in columns.values() if column)
        if series:
            known.append(line_chart(panel.title, panel.unit, x_unit, panel.meaning, series, noisy=panel.noisy))
    names = sorted({name for row in rows for name in row} - used)
    rest = {name: found for name in names if (found := points(rows, name))}
    others = [
        line_chart(words(name), "", x_unit, f"Recorded by the stage as {name}.", {words(name): found})
        for name, found in rest.items()
    ]
    return known, others


def points(rows: Sequence[dict[str, Any]], column: str) -> list[Point]:
    """(step, value) where both are finite numbers, by rising step; a step's last row counts."""
    found = {}
    for row in rows:
        step, value = number(row.get(STEP)), number(row.get(column))
        if step is not None and value is not None:
            found[step] = value
    return sorted(found.items())


def _column(candidates: Sequence[str], rows: Sequence[dict[str, Any]]) -> str | None:
    return next((name for name in candidates if points(rows, name)), None)
