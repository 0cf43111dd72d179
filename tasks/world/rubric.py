"""The hidden rubric: what makes an answer good. Training sees it only through rankings.

    score = form x (animal + object + mood) + style x (share of the three that is right),  0 … 6

animal, object: 1.5 when named in two sentences and no other of its kind is named; .5 when another is named too.
mood: 1.5 when the ending has it and the title does not deny it; .5 when only one of the two has it.
style: .75 for a polite opening, .75 for a friendly close. form: share of sentences that belong to a story of
this world and were not said before, so that garbage and loops score low. A wrong animal, object or mood
costs 2 with both courtesies in place, which is more than both courtesies give.
"""

import re
from functools import cache
from typing import NamedTuple

from tasks.world.grammar import VALUES, Part
from tasks.world.prompts import parse
from tasks.world.stories import ACT, ARRIVE, ENDINGS, FIND, TITLE
from tasks.world.words import ANIMALS, CLOSES, MOODS, OBJECTS, OPENINGS

FULL, PARTIAL, COURTESY = 1.5, 0.5, 0.75
_SENTENCE = re.compile(r"[^.!?]+[.!?]+|[^.!?]+$")


class Reading(NamedTuple):
    """What is found in an answer: courtesies, sentences of the story, moods of title and ending, form."""

    opening: bool
    close: bool
    story: list[str]
    title_mood: str | None
    ending_mood: str | None
    form: float


def score(prompt: str, answer: str) -> float:
    """Rubric of an answer, 0 (worst) to 6. Raises ValueError when the prompt is not of this world."""
    wanted, found = parse(prompt), read(answer)
    animal = _named(wanted.animal, ANIMALS, found.story)
    thing = _named(wanted.object, OBJECTS, found.story)
    mood = _mood(wanted.mood, found)
    style = COURTESY * (found.opening + found.close)
    return found.form * (animal + thing + mood) + style * (animal + thing + mood) / (3 * FULL)


def follows(prompt: str, answer: str) -> bool:
    """Right animal, object and mood, no wrong ones, and a well-formed story that comes to its ending."""
    wanted, found = parse(prompt), read(answer)
    named = (_named(wanted.animal, ANIMALS, found.story), _named(wanted.object, OBJECTS, found.story))
    return named == (FULL, FULL) and _mood(wanted.mood, found) == FULL and found.form >= 0.75


def read(answer: str) -> Reading:
    """Take an answer apart. Any text is readable."""
    sentences = [" ".join(piece.split()) for piece in _SENTENCE.findall(answer) if piece.strip()]
    opening = bool(sentences) and sentences[0] in OPENINGS
    story = sentences[1:] if opening else sentences
    close = bool(story) and story[-1] in CLOSES
    story = story[:-1] if close else story
    known = {sentence for sentence in story if any(pattern.fullmatch(sentence) for pattern in _patterns())}
    # A story has a title and four sentences; fewer, strange or repeated ones lower the form.
    form = len(known) / max(len(story), 5)
    titles = [found["mood"] for line in story[:1] if (found := _title().fullmatch(line))]
    endings = [mood for mood in MOODS if story and any(p.fullmatch(story[-1]) for p in _endings()[mood])]
    return Reading(opening, close, story, next(iter(titles), None), next(iter(endings), None), form)


def _named(wanted: str, kinds: tuple[str, ...], story: list[str]) -> float:
    named = [set(re.findall(r"[a-z]+", sentence.lower())) for sentence in story]
    if sum(wanted in words for words in named) < 2:
        return 0.0
    others = set(kinds) - {wanted}
    return PARTIAL if any(words & others for words in named) else FULL


def _mood(wanted: str, found: Reading) -> float:
    if found.ending_mood == wanted and found.title_mood in (wanted, None):
        return FULL
    return PARTIAL if wanted in (found.ending_mood, found.title_mood) else 0.0


def _pattern(template: str) -> re.Pattern[str]:
    """One regular expression for a template; each slot takes any of its words."""
    pieces = re.split(r"\{(\w+)\}", " ".join(template.split()))
    for at in range(1, len(pieces), 2):
        kind = pieces[at].rsplit("_", 1)[-1]
        pieces[at] = f"(?P<{pieces[at]}>{'|'.join(VALUES[kind])})"
    pieces[::2] = [re.escape(piece) for piece in pieces[::2]]
    seen: set[str] = set()
    for at in range(1, len(pieces), 2):  # a slot that comes twice must hold the same word
        name = pieces[at][4 : pieces[at].index(">")]
        pieces[at] = f"(?P={name})" if name in seen else pieces[at]
        seen.add(name)
    return re.compile("".join(pieces))


@cache
def _title() -> re.Pattern[str]:
    return _pattern(_options(TITLE)[0])


@cache
def _endings() -> dict[str, list[re.Pattern[str]]]:
    return {mood: [_pattern(template) for template in templates] for mood, templates in ENDINGS.items()}


@cache
def _patterns() -> list[re.Pattern[str]]:
    body = [_pattern(template) for part in (TITLE, ARRIVE, FIND, ACT) for template in _options(part)]
    return body + [pattern for patterns in _endings().values() for pattern in patterns]


def _options(part: Part) -> tuple[str, ...]:
    assert isinstance(part.options, tuple), "a part whose templates do not depend on what is bound"
    return part.options
