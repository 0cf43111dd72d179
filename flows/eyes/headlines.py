"""One line a stage: what it measured, in a person's words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.report.numbers import number, percent, show


@dataclass(frozen=True)
class Figure:
    """A metric with its words; with ``start`` it is shown as a change. before: words in front, else behind."""

    name: str
    words: str
    start: str | None = None
    form: Callable[[Any], str] = show
    before: bool = True


FIGURES: dict[str, tuple[Figure, ...]] = {
    "world": (
        Figure("stories", "stories", before=False),
        Figure("documents", "documents", before=False),
    ),
    "corpus": (Figure("kept", "kept", "documents_in"), Figure("duplicates", "duplicates", before=False)),
    "tokenizer": (
        Figure("vocabulary", "tokens", before=False),
        Figure("bytes_per_token", "bytes a token", before=False),
    ),
    "pretrain": (Figure("perplexity", "perplexity", "perplexity_start"),),
    "finetune": (Figure("instruction_following", "follows", "instruction_following_start", percent),),
    "candidates": (Figure("prompts", "prompts", before=False), Figure("answers", "answers", before=False)),
    "rank": (
        Figure("pairs", "pairs", before=False),
        Figure("prompts", "prompts", before=False),
        Figure("kendall_w", "W"),
        Figure("flagged", "annotators flagged", before=False),
    ),
    "reward": (
        Figure("pair_accuracy", "pairs right", form=percent),
        Figure("length_baseline", "length alone", form=percent),
    ),
    "ppo": (
        Figure("reward", "reward", "reward_start"),
        Figure("rubric", "rubric", "rubric_start"),
        Figure("kl", "KL"),
    ),
    "evaluate": (
        Figure("instruction_following_aligned", "follows", "instruction_following_finetuned", percent),
        Figure("win_rate", "wins", form=percent),
    ),
    "report": (Figure("charts", "charts", before=False), Figure("samples", "samples", before=False)),
}


GUARD = {"ok": "🟢 ok", "warn": "🟠 warn", "stop": "🔴 stop"}


def headline(stage: str, metrics: Mapping[str, Any]) -> str:
    """The figures of a stage that were measured, "" when there are none."""
    found = [_text(figure, metrics) for figure in FIGURES.get(stage, ()) if _there(figure, metrics)]
    if (guard := GUARD.get(str(metrics.get("guard")))) is not None:
        found.append(f"guard {guard}")
    return ", ".join(found)


def _there(figure: Figure, metrics: Mapping[str, Any]) -> bool:
    return number(metrics.get(figure.name)) is not None


def _text(figure: Figure, metrics: Mapping[str, Any]) -> str:
    value = figure.form(metrics[figure.name])
    if figure.start and number(metrics.get(figure.start)) is not None:
        value = f"{figure.form(metrics[figure.start])} → {value}"
    return f"{figure.words} {value}" if figure.before else f"{value} {figure.words}"
