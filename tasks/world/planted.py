"""What is planted among the field notes: each row with a known fate in the corpus stage."""

import random
from collections.abc import Callable, Sequence

from tasks.world import words

SHINGLE = 5
NEAR = 0.75  # smallest Jaccard similarity of a planted near duplicate; the corpus stage drops from .7


def shingles(text: str) -> set[tuple[str, ...]]:
    """The word 5-grams of a text."""
    found = text.split()
    return {tuple(found[at : at + SHINGLE]) for at in range(max(1, len(found) - SHINGLE + 1))}


def jaccard(left: str, right: str) -> float:
    """Share of word 5-grams that two texts have in common."""
    one, two = shingles(left), shingles(right)
    return len(one & two) / len(one | two)


def near_duplicate(text: str, rng: random.Random) -> str:
    """The text with two or three words changed, at least ``NEAR`` similar to it."""
    while True:
        changed = text.split(" ")
        first = rng.randrange(len(changed))
        # Neighbours share most of their 5-grams, words far apart share none.
        places = [first + step for step in range(rng.choice((2, 3))) if first + step < len(changed)]
        for place in places:
            changed[place] = rng.choice(words.LOOKS + words.STATES + words.TOOLS)
        copy = " ".join(changed)
        if len(places) > 1 and copy != text and jaccard(text, copy) >= NEAR:
            return copy


# Junk: each text breaks one quality filter at its default limit and no other.


def _number(rng: random.Random) -> str:
    return f"{rng.randrange(10_000, 99_999)}.{rng.randrange(100, 999)}"


def _some(rng: random.Random, count: int) -> list[str]:
    return rng.choices(words.FINDS + words.TOOLS + words.STATES + words.PLACES, k=count)


def _too_short(rng: random.Random) -> str:
    return f"{rng.choice(words.DAYS)}: the {rng.choice(words.FINDS)} of {rng.choice(words.NAMES)}."


def _few_letters(rng: random.Random) -> str:
    rows = (f"the {_number(rng)} of {_number(rng)}" for _ in range(8))
    return f"Table by {rng.choice(words.NAMES)}: {'; '.join(rows)}."


def _many_symbols(rng: random.Random) -> str:
    tagged = " and ".join(f"#{word} by the {other}" for word, other in zip(_some(rng, 9), _some(rng, 9), strict=True))
    return f"Seen with {rng.choice(words.NAMES)}: {tagged}."


def _short_words(rng: random.Random) -> str:
    letters = (f"{rng.choice('abcdefgh')} to {rng.choice('ijklmnop')} of {rng.choice('qrstuvwxyz')}" for _ in range(10))
    return f"By {rng.choice(words.NAMES)}: {' '.join(letters)} and so on."


def _long_words(rng: random.Random) -> str:
    joined = ("".join(_some(rng, 4)) for _ in range(9))
    return f"The index of {rng.choice(words.NAMES)} {' '.join(joined)}."


def _repeated_lines(rng: random.Random) -> str:
    short = [f"The {a} and {b}." for a, b in zip(_some(rng, 3), _some(rng, 3), strict=True)]
    lines = []
    for round_ in range(3):
        filler = " ".join(_some(rng, 9))
        lines += [*rng.sample(short, 3), f"Page {words.NUMBERS[round_]} has {filler}."]
    return "\n".join(lines)


def _repeated_phrase(rng: random.Random) -> str:
    phrase = " ".join(["the", *_some(rng, 2), "of", *_some(rng, 2)])
    return " ".join(f"{phrase} {word}" for word in _some(rng, 7)) + "."


def _few_stop_words(rng: random.Random) -> str:
    return f"{rng.choice(words.NAMES)} {' '.join(_some(rng, 24))}."


JUNK: dict[str, Callable[[random.Random], str]] = {
    "too_short": _too_short,
    "few_letters": _few_letters,
    "many_symbols": _many_symbols,
    "short_words": _short_words,
    "long_words": _long_words,
    "repeated_lines": _repeated_lines,
    "repeated_phrase": _repeated_phrase,
    "few_stop_words": _few_stop_words,
}


# Personal data: e-mail addresses at reserved domains, telephone numbers from the range kept for fiction (555-01xx).
AREAS = ("202", "212", "303", "312", "415", "617")


def _email(rng: random.Random) -> str:
    user = f"{rng.choice(words.NAMES).lower()}.{rng.choice(words.PLACES)}{rng.randrange(10, 99)}"
    return f"{user}@{rng.choice(('example.com', 'example.org', 'mail.example.net'))}"


def _phone(form: str, rng: random.Random) -> str:
    return form.format(area=rng.choice(AREAS), line=rng.randrange(100, 200))


PII: dict[str, Callable[[random.Random], str]] = {
    "email": _email,
    "phone_dashes": lambda rng: _phone("{area}-555-0{line}", rng),
    "phone_brackets": lambda rng: _phone("({area}) 555-0{line}", rng),
    "phone_dots": lambda rng: _phone("{area}.555.0{line}", rng),
    "phone_country": lambda rng: _phone("+1 {area} 555 0{line}", rng),
}
_ASIDES = (
    " Write to {item} for the chart.",
    " The cart may be borrowed: {item} is the one to ask.",
    " {name} can be reached under {item} in the evening.",
)


def with_pii(text: str, kind: str, rng: random.Random) -> str:
    """A note with one e-mail address or telephone number in it."""
    aside = rng.choice(_ASIDES).format(item=PII[kind](rng), name=rng.choice(words.NAMES))
    return text + aside


# Controls: they look like something the corpus stage removes, and must be kept as they are.
SHARED = " All of this was copied with care from the book that hangs by the door of the old mill."
CONTROLS: dict[str, Callable[[random.Random], str]] = {
    "date": lambda rng: f" The next count is on 20{rng.randrange(10, 30)}-0{rng.randrange(1, 9)}-1{rng.randrange(10)}.",
    "price": lambda rng: f" The new net was ${rng.randrange(1, 9)},{rng.randrange(100, 999)}.50 in all.",
    "at_sign": lambda rng: (
        f" Meet @ the {rng.choice(words.PLACES)} @ {rng.randrange(1, 12)} with {rng.choice(words.NAMES)}."
    ),
    "version": lambda rng: (
        f" The chart is version {rng.randrange(1, 9)}.{rng.randrange(20)}.{rng.randrange(200)} of the set."
    ),
    "tide_table": lambda rng: (
        f" High water: {rng.randrange(10, 24)}:15, {rng.randrange(10, 24)}:40 and {rng.randrange(10, 24)}:55."
    ),
    "shared_sentence": lambda rng: SHARED,
}


def short_control(rng: random.Random) -> str:
    """A short note that is fine."""
    return f"The {rng.choice(words.FINDS)} of {rng.choice(words.NAMES)} have gone to the {rng.choice(words.PLACES)}."


MALFORMED: Sequence[Callable[[str], str]] = (
    lambda row: row[: len(row) // 2],
    lambda row: row.replace('"', "'"),
    lambda row: row + "}",
    lambda row: "not a row at all",
    lambda row: row.replace(":", "=", 1),
)
