"""The grammar's probabilities are exact, and no text has two derivations."""

import math
import random

import pytest

from tasks.world.grammar import Derivation, Form, Part, derive, outcomes, readings, render
from tasks.world.mixture import FORMS, STORY_KINDS, draw_row, shares, text_nats

SMALL = Form(
    (
        Part(("{mood}", "a {mood} {side}")),
        Part({"happy": ("!",), "sad": (".", " {spot}"), "funny": ("?", " {mood}", "…")}, lambda bound: bound["mood"]),
        Part((" {last_mood}",)),
    )
)


def test_probabilities_of_a_small_form_sum_to_one() -> None:
    texts = dict(outcomes(SMALL))
    assert len(texts) == len(list(outcomes(SMALL)))  # no text twice
    assert math.fsum(math.exp(-nats) for nats in texts.values()) == pytest.approx(1, abs=1e-12)


def test_nats_by_hand() -> None:
    # template 1/2, mood 1/3, ending of "sad" 1/2, another mood 1/3
    nats = dict(outcomes(SMALL))["sad. sad"]
    assert nats == pytest.approx(math.log(2 * 3 * 2 * 3))
    # a slot that comes again is copied and costs nothing
    assert dict(outcomes(SMALL))["funny funny sad"] == pytest.approx(math.log(2 * 3 * 3 * 3))


def test_drawing_follows_the_probabilities() -> None:
    rng, draws = random.Random(0), 20_000
    counts: dict[str, int] = {}
    for _ in range(draws):
        text = derive(SMALL, rng).text
        counts[text] = counts.get(text, 0) + 1
    expected = {text: draws * math.exp(-nats) for text, nats in outcomes(SMALL)}
    assert set(counts) <= set(expected)
    chi2 = sum((counts.get(text, 0) - want) ** 2 / want for text, want in expected.items())
    degrees = len(expected) - 1
    assert chi2 < degrees + 5 * math.sqrt(2 * degrees)


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_every_drawn_text_has_exactly_its_own_derivation(kind: str) -> None:
    rng = random.Random(1)
    for _ in range(5000):
        made = derive(FORMS[kind], rng)
        found = list(readings(FORMS[kind], made.text))
        assert len(found) == 1, made.text
        assert found[0][0] == pytest.approx(made.nats, abs=1e-9)
        assert found[0][1] == made.bound


def test_no_text_belongs_to_two_kinds_of_row() -> None:
    mixture, rng = shares(8000, 800), random.Random(2)
    for _ in range(2000):
        row = draw_row(mixture, mixture, rng)
        nats, derivations = text_nats(mixture, row["text"])
        assert derivations == 1
        assert nats == pytest.approx(row["metadata"]["nats"], abs=1e-6)


def test_shares_are_a_distribution_and_notes_take_theirs() -> None:
    mixture = shares(8000, 800)
    assert sum(mixture.values()) == pytest.approx(1)
    assert mixture["note"] == pytest.approx(800 / 8800)
    assert sum(STORY_KINDS.values()) == pytest.approx(1)


def test_a_text_outside_the_grammar_has_no_derivation() -> None:
    assert text_nats(shares(8000, 800), "The happy fox and the.") == (math.inf, 0)


def test_given_slots_cost_nothing_and_stay() -> None:
    free = derive(FORMS["story"], random.Random(3))
    made: Derivation = derive(FORMS["story"], random.Random(3), {"animal": "fox", "object": "rope", "mood": "sad"})
    assert made.bound["animal"] == "fox"
    assert made.nats < free.nats
    assert [nats for nats, _ in readings(made.form, made.text, {"animal": "fox", "object": "rope", "mood": "sad"})] == [
        pytest.approx(made.nats)
    ]


def test_rendering_with_another_value_changes_nothing_else() -> None:
    made = derive(FORMS["story"], random.Random(4), {"animal": "fox", "object": "rope", "mood": "sad"})
    assert render(made.form, made.picks, {**made.bound, "animal": "mole"}) == made.text.replace("fox", "mole")
