"""Rewards that a program can check; for ``ppo.rewards``, with TRL's signature of reward functions.

    rewards:
      - {model: reward}
      - {function: "tasks.ppo.verifiable:exact_answer", weight: 0.5}

The prompts' rows hold what is right under ``answer``; rows without it are nothing that these functions can judge.
"""

import re
from typing import Any

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?")
TAGGED = re.compile(r"\s*<think>.*?</think>\s*<answer>(.*?)</answer>\s*", re.DOTALL)


def text_of(completion: str | list[dict[str, str]]) -> str:
    """The answer's text, of a text or of a list of messages."""
    return completion if isinstance(completion, str) else "".join(message["content"] for message in completion)


def exact_answer(
    prompts: list[Any], completions: list[Any], answer: list[Any] | None = None, **columns: Any
) -> list[float | None]:
    """1 where the answer is the expected text, apart from case and blanks, else 0; None without one."""
    expected = answer or [None] * len(completions)
    return [
        None if right is None else float(_folded(text_of(completion)) == _folded(str(right)))
        for completion, right in zip(completions, expected, strict=True)
    ]


def number_match(
    prompts: list[Any], completions: list[Any], answer: list[Any] | None = None, **columns: Any
) -> list[float | None]:
    """1 where the last number of the answer is the last number of what is expected, to 1e-6 of it, else 0."""
    expected = answer or [None] * len(completions)
    found: list[float | None] = []
    for completion, right in zip(completions, expected, strict=True):
        wanted = None if right is None else last_number(str(right))
        said = last_number(text_of(completion))
        close = wanted is not None and said is not None and abs(said - wanted) <= 1e-6 * max(1.0, abs(wanted))
        found.append(None if wanted is None else float(close))
    return found


def tagged_format(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
    """1 where the whole answer is ``<think>…</think><answer>…</answer>``, else 0."""
    return [float(TAGGED.fullmatch(text_of(completion)) is not None) for completion in completions]


def last_number(text: str) -> float | None:
    """The last number in a text, None without one; thousands may be parted by commas."""
    found = NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
