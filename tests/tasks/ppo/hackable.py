"""A reward that can be gamed, and what it was meant to stand for: functions as ppo.rewards and ppo.guard take them."""

from typing import Any


def share_of_a(prompts: list[str], completions: list[str], **columns: Any) -> list[float | None]:
    """The proxy: share of the letter a."""
    return [text.split().count("a") / max(len(text.split()), 1) for text in completions]


def variety(prompts: list[str], completions: list[str], **columns: Any) -> list[float | None]:
    """The gold: share of different letters, which an answer of a alone has least of."""
    return [len(set(text.split())) / max(len(text.split()), 1) for text in completions]


def length(prompts: list[str], completions: list[str], **columns: Any) -> list[float | None]:
    """A held-out reward for the tiny stage test."""
    return [float(len(text)) for text in completions]
