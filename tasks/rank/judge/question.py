"""What the judge is asked, and what its reply means."""

import re
from dataclasses import dataclass
from typing import Literal

from tasks.rankings import Messages

Verdict = Literal["A", "B", "C"]
_MARKED = re.compile(r"\[\[([ABC])\]\]")
_FIELDS = re.compile(r"\{(prompt|first|second)\}")


@dataclass(frozen=True)
class Comparison:
    """Two candidates of a prompt, by number, in the order in which the judge sees them."""

    item: int
    first: int
    second: int


def question(template: str, prompt: Messages, first: str, second: str) -> str:
    """The template with its three fields filled in. What the texts hold is not filled in again."""
    talk = prompt[0]["content"] if len(prompt) == 1 else "\n\n".join(f"{t['role']}: {t['content']}" for t in prompt)
    values = {"prompt": talk, "first": first, "second": second}
    return _FIELDS.sub(lambda found: values[found[1]], template)


def verdict(reply: str) -> Verdict | None:
    """A, B or C (equal): the whole reply, or one letter in double brackets as in MT-Bench; None for anything else.

    A reply that thinks in <think>…</think> first is read after that.
    """
    said = reply.rpartition("</think>")[2].strip()
    bare = said.strip("*`'\"().: \n")
    marked = set(_MARKED.findall(said))
    letter = bare if bare in ("A", "B", "C") else marked.pop() if len(marked) == 1 else None
    return letter if letter in ("A", "B", "C") else None  # type: ignore[return-value]
