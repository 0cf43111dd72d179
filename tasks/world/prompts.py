"""Requests: an animal, an object and a mood in many wordings, and which request belongs to which file."""

import hashlib
import itertools
import random
from functools import cache
from typing import Literal, NamedTuple

from tasks.failures import BadConfig
from tasks.world.words import ANIMALS, MOODS, OBJECTS

WORDINGS = (
    "Write a {mood} story in which a {animal} finds a {object}.",
    "Write a {mood} story about a {animal} and a {object}.",
    "Write a story about a {object} that a {animal} finds. Make the ending {mood}.",
    "Tell me a {mood} story about a {object} and a {animal}.",
    "Tell me a story about a {animal} and a {object}. Make it {mood}.",
    "Tell me about a {animal} that finds a {object}, with a {mood} ending.",
    "Please write a {mood} story with a {animal} and a {object} in it.",
    "Please tell me a story in which a {animal} has a {object}. It should be {mood}.",
    "Please write a story with a {mood} ending about a {object} and a {animal}.",
    "I would like a {mood} story about a {animal} that finds a {object}.",
    "I would like a story about a {object} and a {animal} with a {mood} ending.",
    "I want to hear a {mood} story about a {animal} with a {object}.",
    "I want a story about a {animal} and a {object}. The ending should be {mood}.",
    "Can you tell me a {mood} story of a {object} and a {animal}?",
    "Can you write a story in which a {animal} finds a {object}? Make it {mood}.",
    "A {animal} finds a {object}. Make it a {mood} story.",
    "A {animal} and a {object}: can you make a {mood} story of it?",
    "Give me a {mood} story with a {object} and a {animal} in it.",
    "Give me a story about a {animal} and a {object}. It should be {mood}.",
    "Make the ending {mood}: a {animal} finds a {object}.",
)

Split = Literal["heldout_prompts", "prompts", "rank_prompts", "ranked", "instructions"]
SHARES: tuple[tuple[Split, float], ...] = (
    ("heldout_prompts", 0.06),
    ("prompts", 0.22),
    ("rank_prompts", 0.10),
    ("ranked", 0.22),
    ("instructions", 0.40),
)


class Request(NamedTuple):
    """What a prompt asks for."""

    animal: str
    object: str
    mood: str


@cache
def _requests() -> dict[str, Request]:
    return {
        wording.format_map(request._asdict()): request
        for wording in WORDINGS
        for request in itertools.starmap(Request, itertools.product(ANIMALS, OBJECTS, MOODS))
    }


def parse(prompt: str) -> Request:
    """The request behind a prompt. Raises ValueError for text that is no prompt of this world."""
    try:
        return _requests()[prompt.strip()]
    except KeyError:
        raise ValueError(f"not a prompt of the small world: {prompt!r}") from None


def unseen(request: Request) -> bool:
    """Whether instructions never bring this animal and object together: they test transfer, not memory."""
    return ANIMALS.index(request.animal) == OBJECTS.index(request.object)


@cache
def prompts_of(split: Split) -> tuple[str, ...]:
    """All prompts of one split, whatever the seed: the splits share no prompt in any two worlds."""
    return tuple(prompt for prompt, request in _requests().items() if _split(prompt, request) == split)


def _split(prompt: str, request: Request) -> Split:
    draw = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big") / 2**64
    ends = itertools.accumulate(share for _, share in SHARES)
    split = next((name for (name, _), end in zip(SHARES, ends, strict=True) if draw < end), SHARES[-1][0])
    return "heldout_prompts" if split == "instructions" and unseen(request) else split


def draw_prompts(split: Split, count: int, setting: str, rng: random.Random) -> list[str]:
    """``count`` different prompts of a split in random order. Raises BadConfig when it has fewer."""
    have = prompts_of(split)
    if count > len(have):
        raise BadConfig(f"world.{setting}={count}, but only {len(have)} different prompts exist for it: set it lower")
    return rng.sample(have, count)
