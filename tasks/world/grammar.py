"""A probabilistic grammar whose exact log-probability is known.

A form is a sequence of parts; a part offers templates, one of which is taken with equal probability; a
template holds ``{slots}``. A slot is drawn at its first use and copied at every later one, which is what
makes copying worth learning. The nats of a text are the sum of ``-log p`` over the choices made. They are
``-log p(text)`` exactly when no other derivation gives the same text, which `readings` can count.
"""

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tasks.world import words

Bound = Mapping[str, str]
_SLOT = re.compile(r"\{(\w+)\}")

VALUES: dict[str, tuple[str, ...]] = {
    "animal": words.ANIMALS,
    "object": words.OBJECTS,
    "mood": words.MOODS,
    "name": words.NAMES,
    "place": words.PLACES,
    "time": words.TIMES,
    "look": words.LOOKS,
    "spot": words.SPOTS,
    "deed": words.DEEDS,
    "opening": words.OPENINGS,
    "close": words.CLOSES,
    "day": words.DAYS,
    "weather": words.WEATHERS,
    "number": words.NUMBERS,
    "find": words.FINDS,
    "tool": words.TOOLS,
    "side": words.SIDES,
    "paper": words.PAPERS,
    "state": words.STATES,
}


@dataclass(frozen=True)
class Part:
    """Templates of one place in a form. With ``by``, the templates depend on what is bound already."""

    options: tuple[str, ...] | Mapping[str, tuple[str, ...]]
    by: Callable[[Bound], str] | None = None

    def at(self, bound: Bound) -> tuple[str, ...]:
        """The templates on offer when ``bound`` is bound."""
        if isinstance(self.options, tuple):
            return self.options
        assert self.by is not None, "options by key need `by`"
        return self.options[self.by(bound)]


@dataclass(frozen=True)
class Form:
    """A sequence of parts."""

    parts: tuple[Part, ...]

    def values(self, slot: str) -> tuple[str, ...]:
        """What a slot that is not bound yet may hold, all alike. The last word of its name is its kind."""
        return VALUES[slot.rsplit("_", 1)[-1].rstrip("0123456789")]


@dataclass(frozen=True)
class Derivation:
    """One text with the choices that made it: template numbers by part, values by slot."""

    form: Form
    picks: tuple[int, ...]
    bound: dict[str, str]
    nats: float

    @property
    def text(self) -> str:
        return render(self.form, self.picks, self.bound)


def derive(form: Form, rng: random.Random, given: Bound | None = None) -> Derivation:
    """Draw a text. Slots in ``given`` are fixed and cost no nats."""
    bound = dict(given or {})
    picks, nats = [], 0.0
    for part in form.parts:
        options = part.at(bound)
        picks.append(rng.randrange(len(options)))
        nats += math.log(len(options))
        for slot in _SLOT.findall(options[picks[-1]]):
            if slot not in bound:
                values = form.values(slot)
                bound[slot] = rng.choice(values)
                nats += math.log(len(values))
    return Derivation(form, tuple(picks), bound, nats)


def render(form: Form, picks: tuple[int, ...], bound: Bound) -> str:
    """The text of given choices; with another value bound, the same text in which only that differs."""
    chosen = [part.at(bound)[pick] for part, pick in zip(form.parts, picks, strict=True)]
    return "".join(chosen).format_map(bound)


def readings(form: Form, text: str, given: Bound | None = None) -> Iterator[tuple[float, dict[str, str]]]:
    """Every derivation of ``text``: its nats and its bound slots."""
    return _read_parts(form, 0, text, dict(given or {}), 0.0)


def outcomes(form: Form, given: Bound | None = None) -> Iterator[tuple[str, float]]:
    """Every text of a small form with its nats; for tests, the number of texts is exponential."""
    return _expand(form, 0, "", dict(given or {}), 0.0)


def _read_parts(
    form: Form, at: int, rest: str, bound: dict[str, str], nats: float
) -> Iterator[tuple[float, dict[str, str]]]:
    if at == len(form.parts):
        if not rest:
            yield nats, bound
        return
    options = form.parts[at].at(bound)
    for template in options:
        pieces = _SLOT.split(template)
        for more, after, then in _read_pieces(form, pieces, rest, bound):
            yield from _read_parts(form, at + 1, then, after, nats + math.log(len(options)) + more)


def _read_pieces(
    form: Form, pieces: list[str], rest: str, bound: dict[str, str]
) -> Iterator[tuple[float, dict[str, str], str]]:
    """Match literal, slot, literal, … at the start of ``rest``: nats, bound slots and what is left."""
    if not rest.startswith(pieces[0]):
        return
    rest = rest[len(pieces[0]) :]
    if len(pieces) == 1:
        yield 0.0, bound, rest
        return
    slot = pieces[1]
    values = (bound[slot],) if slot in bound else form.values(slot)
    for value in values:
        if rest.startswith(value):
            left = rest[len(value) :]
            for more, after, then in _read_pieces(form, pieces[2:], left, {**bound, slot: value}):
                yield more + math.log(len(values)), after, then


def _expand(form: Form, at: int, text: str, bound: dict[str, str], nats: float) -> Iterator[tuple[str, float]]:
    if at == len(form.parts):
        yield text, nats
        return
    options = form.parts[at].at(bound)
    for template in options:
        states = [(bound, nats + math.log(len(options)))]
        for slot in _SLOT.findall(template):
            states = [
                ({**seen, slot: value}, cost + math.log(len(values)))
                for seen, cost in states
                for values in ((seen[slot],) if slot in seen else form.values(slot),)
                for value in values
            ]
        for seen, cost in states:
            yield from _expand(form, at + 1, text + template.format_map(seen), seen, cost)
