"""Answers to requests: right ones, and ones that are wrong in a known way."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.world.grammar import VALUES, Derivation, derive, render
from tasks.world.prompts import Request
from tasks.world.stories import STORY
from tasks.world.words import CLOSES, OPENINGS


@dataclass(frozen=True)
class Answer:
    """A story with or without courtesies."""

    story: Derivation
    opening: str  # empty: none
    close: str

    @property
    def text(self) -> str:
        return " ".join(piece for piece in (self.opening, self.story.text, self.close) if piece)

    def styled(self, opening: bool = True, close: bool = True) -> "Answer":
        """The same answer with a courtesy taken away."""
        return replace(self, opening=self.opening if opening else "", close=self.close if close else "")


def draw_answer(request: Request, rng: random.Random, opening: bool | None = None, close: bool | None = None) -> Answer:
    """A right answer. A courtesy that is None is there half of the time."""
    polite = rng.random() < 0.5 if opening is None else opening
    friendly = rng.random() < 0.5 if close is None else close
    story = derive(STORY, rng, request._asdict())
    return Answer(story, rng.choice(OPENINGS) if polite else "", rng.choice(CLOSES) if friendly else "")


def change(answer: Answer, attributes: Sequence[str], rng: random.Random) -> Answer:
    """The same answer with other values of the attributes named, everywhere in it."""
    bound = dict(answer.story.bound)
    for attribute in attributes:
        bound[attribute] = rng.choice([value for value in VALUES[attribute] if value != bound[attribute]])
    return replace(answer, story=replace(answer.story, bound=bound))


def cut(answer: Answer) -> str:
    """The answer without the last sentence of its story."""
    story = answer.story
    ending = story.form.parts[-1].at(story.bound)[story.picks[-1]].format_map(story.bound)
    body = render(story.form, story.picks, story.bound).removesuffix(ending)
    return " ".join(piece for piece in (answer.opening, body, answer.close) if piece)


def loop(answer: Answer, rng: random.Random) -> str:
    """The answer with a sentence said three times in place of what follows it."""
    title, body = answer.story.text.split("\n", 1)
    sentences = body.split(". ")
    at = rng.randrange(len(sentences) - 1)
    looped = ". ".join(sentences[: at + 1] + [sentences[at]] * 2) + "."
    return " ".join(piece for piece in (answer.opening, f"{title}\n{looped}", answer.close) if piece)
