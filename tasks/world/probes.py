"""Minimal pairs: two answers to one prompt that differ in a single attribute."""

import random
from collections.abc import Callable

from tasks.world.answers import Answer, change, cut, draw_answer
from tasks.world.prompts import Request, parse, prompts_of

Worsen = Callable[[Answer, random.Random], str]


def minimal_pairs(seed: int, per_attribute: int = 50) -> dict[str, list[tuple[str, str, str]]]:
    """(prompt, better, worse) by attribute, on prompts that no training file holds.

    animal, object, mood: that one word is another throughout (for mood, the ending too). opening, close: the
    courtesy is missing. ending: the last sentence is missing. The courtesies of the better answer are
    otherwise drawn as in the instructions.
    """
    kinds: dict[str, tuple[dict[str, bool], Worsen]] = {
        "animal": ({}, lambda answer, rng: change(answer, ["animal"], rng).text),
        "object": ({}, lambda answer, rng: change(answer, ["object"], rng).text),
        "mood": ({}, lambda answer, rng: change(answer, ["mood"], rng).text),
        "opening": ({"opening": True}, lambda answer, rng: answer.styled(opening=False).text),
        "close": ({"close": True}, lambda answer, rng: answer.styled(close=False).text),
        "ending": ({}, lambda answer, rng: cut(answer)),
    }
    pairs = {}
    for kind, (style, worsen) in kinds.items():
        rng = random.Random(f"{seed}:probes:{kind}")
        pairs[kind] = [_pair(prompt, style, worsen, rng) for prompt in _prompts(per_attribute, rng)]
    return pairs


def _prompts(count: int, rng: random.Random) -> list[str]:
    return rng.choices(prompts_of("heldout_prompts"), k=count)


def _pair(prompt: str, style: dict[str, bool], worsen: Worsen, rng: random.Random) -> tuple[str, str, str]:
    wanted: Request = parse(prompt)
    answer = draw_answer(wanted, rng, **style)
    return prompt, answer.text, worsen(answer, rng)
