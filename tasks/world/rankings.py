"""Ranked candidates: answers that share a story and differ in what the rubric weighs."""

import random
from typing import Any

from tasks.world.answers import Answer, change, cut, draw_answer, loop
from tasks.world.prompts import parse
from tasks.world.rubric import score

ATTRIBUTES = ("animal", "object", "mood")
# How many attributes of a candidate are wrong: none, one, two, all.
WRONG = (0.3, 0.5, 0.15, 0.05)
DAMAGED = 0.1  # share of candidates that are cut or loop
SHARE_STORY = 0.7  # probability that a candidate tells the prompt's first story, with its own faults


def ranked(prompt: str, count: int, rng: random.Random) -> dict[str, Any]:
    """One row: prompt, ``count`` different candidates, one annotator's ranks (1 = best, equal scores tie).

    The first two drawn are a right answer and the same answer with one attribute wrong, so that every row
    holds a pair that only agreement with the prompt can tell apart; the rest vary freely.
    """
    request = parse(prompt)
    right = draw_answer(request, rng)
    texts = [right.text, change(right, [rng.choice(ATTRIBUTES)], rng).text]
    while len(texts) < count:
        text = _candidate(right, prompt, rng)
        if text not in texts:
            texts.append(text)
    rng.shuffle(texts)
    return {"prompt": prompt, "candidates": texts, "ranks": [ranks([score(prompt, text) for text in texts])]}


def ranks(scores: list[float]) -> list[int]:
    """1 for the highest score; equal scores share a rank."""
    order = sorted(set(scores), reverse=True)
    return [order.index(value) + 1 for value in scores]


def _candidate(right: Answer, prompt: str, rng: random.Random) -> str:
    fresh = draw_answer(parse(prompt), rng)
    if rng.random() < SHARE_STORY:
        fresh = Answer(right.story, fresh.opening, fresh.close)
    wrong = rng.choices(range(4), WRONG)[0]
    answer = change(fresh, rng.sample(ATTRIBUTES, wrong), rng)
    if rng.random() < DAMAGED:
        return cut(answer) if rng.random() < 0.5 else loop(answer, rng)
    return answer.text
