"""Forms of the small world: titled stories, small talk, copying lists and reviews."""

import itertools
from collections.abc import Mapping

from tasks.world.grammar import Bound, Form, Part


def _mood(bound: Bound) -> str:
    return bound["mood"]


TITLE = Part(("The {mood} {animal} and the {object}.\n",))
ARRIVE = Part(
    (
        "One {time} a {animal} named {name} came to the {place}.",
        "{name} the {animal} lived by the {place}.",
        "By the {place} there was a {animal} named {name}.",
    )
)
FIND = Part(
    (
        " There the {animal} found a {look} {object}.",
        " One day the {animal} saw a {look} {object}.",
        " In the {spot} lay a {look} {object}.",
    )
)
ACT = Part(
    (
        " {name} took the {object} to the {next_place}.",
        " The {animal} {deed} the {object}.",
        " {name} and the {object} were seen all {next_time}.",
    )
)
ENDINGS: Mapping[str, tuple[str, ...]] = {
    "happy": (
        " Now the {animal} sings and keeps the {object}.",
        " The {animal} danced, for the {object} was a gift.",
        " Every friend of the {animal} loved the {object}.",
    ),
    "sad": (
        " But the {object} was lost and the {animal} cried.",
        " Then the {object} sank, and the {animal} wept alone.",
        " The {animal} never had the {object} again.",
    ),
    "funny": (
        " Then the {object} fell on the {animal} and all laughed.",
        " The {animal} wore the {object} like a crown.",
        " Soon the {object} stuck to the nose of the {animal}.",
    ),
}
END = Part(ENDINGS, _mood)
BODY = (TITLE, ARRIVE, FIND, ACT, END)
STORY = Form(BODY)

# Half of all answers open politely, half close kindly: the reward has something to choose.
OPENING = Part(("", "{opening} "))
CLOSE = Part(("", " {close}"))
ANSWER = Form((OPENING, *BODY, CLOSE))

# Small talk: the storyteller answers whatever it hears with a story of its own choosing, so pretraining knows
# chat, polite openings and friendly closes, and no instruction is ever followed.
TALK = Part(
    (
        "Good {heard_time}! I saw a {heard_animal} by the {heard_place}.",
        "Hello! {heard_name} gave me a {heard_look} {heard_object}.",
        "{heard_name} asked you to write a {heard_mood} story.",
        "Please tell me how you are this {heard_time}.",
        "Can you tell me what {heard_name} has? I would say it is a {heard_object}.",
        "I want to hear about a {heard_animal}. Make it {heard_mood}.",
        "Do you like a story with a {heard_object} and a {heard_animal} in it?",
        "A {heard_animal} finds a {heard_object} that I lost. Give it to {heard_name}.",
        "The ending should be {heard_mood}. It is about a {heard_animal}.",
    )
)
CHAT = Form((TALK, Part(("\n",)), *ANSWER.parts))

# Copying: three words in any order, then a title made of them. Six lines, so that no phrase covers much of it.
_WORDS = ("{{animal{n}}}", "{{object{n}}}", "{{mood{n}}}")
_ORDERS = tuple(", ".join(order) for order in itertools.permutations(_WORDS))


def _line(number: int) -> Part:
    space = " " if number > 1 else ""
    title = ": the {{mood{n}}} {{animal{n}}} and the {{object{n}}}."
    return Part(tuple(space + (order + title).format(n=number) for order in _ORDERS))


LIST = Form(tuple(_line(number) for number in range(1, 7)))
