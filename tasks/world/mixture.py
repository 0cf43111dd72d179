"""The pretraining text as one distribution: which kind of row, then the row."""

import math
import random
from typing import Any

from tasks.world.grammar import Form, derive, readings
from tasks.world.notes import NOTE
from tasks.world.stories import CHAT, LIST, STORY

FORMS: dict[str, Form] = {"story": STORY, "chat": CHAT, "list": LIST, "note": NOTE}
# Shares of the kinds in stories.jsonl; field notes come on top, in the proportion of the two settings.
STORY_KINDS = {"story": 0.45, "chat": 0.3, "list": 0.25}


def shares(stories: int, notes: int) -> dict[str, float]:
    """Probability of every kind of row in clean pretraining text of these sizes."""
    told = stories / (stories + notes)
    return {kind: share * told for kind, share in STORY_KINDS.items()} | {"note": 1 - told}


def draw_row(mixture: dict[str, float], kinds: dict[str, float], rng: random.Random) -> dict[str, Any]:
    """A row of one of ``kinds``, with the nats that it has under the whole ``mixture``.

    Chat rows also carry ``messages``, which pretraining encodes with the chat template.
    """
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    made = derive(FORMS[kind], rng)
    metadata: dict[str, Any] = {"kind": kind, "nats": round(made.nats - math.log(mixture[kind]), 9)}
    if kind == "chat":
        talk, answer = made.text.split("\n", 1)
        metadata["messages"] = [{"role": "user", "content": talk}, {"role": "assistant", "content": answer}]
    return {"text": made.text, "metadata": metadata}


def text_nats(mixture: dict[str, float], text: str) -> tuple[float, int]:
    """-log p of a text, summed over all its derivations, and their number; infinite with none."""
    found = [nats - math.log(mixture[kind]) for kind, form in FORMS.items() for nats, _ in readings(form, text)]
    chance = sum(math.exp(-nats) for nats in found)
    return (-math.log(chance) if chance else math.inf), len(found)
