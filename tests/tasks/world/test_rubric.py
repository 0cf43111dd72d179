"""The rubric tells right answers from wrong ones, whatever their wording."""

import random

import pytest

from tasks.world.answers import change, cut, draw_answer, loop
from tasks.world.probes import minimal_pairs
from tasks.world.prompts import SHARES, WORDINGS, Request, parse, prompts_of, unseen
from tasks.world.rubric import follows, score
from tasks.world.words import ANIMALS, MOODS, OBJECTS

PROMPT = "Write a sad story in which a sparrow finds a rope."
RIGHT = (
    "Of course! The sad sparrow and the rope.\nPip the sparrow lived by the barn. There the sparrow found a red rope. "
    "The sparrow washed the rope. But the rope was lost and the sparrow cried. Sleep well!"
)


def test_score_of_answers_by_hand() -> None:
    assert score(PROMPT, RIGHT) == 6
    assert score(PROMPT, RIGHT.removeprefix("Of course! ")) == 5.25
    assert score(PROMPT, RIGHT.removesuffix(" Sleep well!")) == 5.25
    assert score(PROMPT, RIGHT.replace("sparrow", "fox")) == 3 + 1.5 * 2 / 3
    assert not follows(PROMPT, RIGHT.replace("sparrow", "fox", 1))  # the title alone names another


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "!!!",
        "sparrow rope sad",
        "The sparrow and the the the rope.",
        "sparrow. sparrow. rope. rope. sad. sad.",
        PROMPT,
    ],
)
def test_degenerate_answers_score_low(answer: str) -> None:
    assert score(PROMPT, answer) < 1.5
    assert not follows(PROMPT, answer)


def test_every_wording_is_parsed() -> None:
    for wording in WORDINGS:
        for request in (Request("fox", "key", "funny"), Request("mole", "hat", "sad")):
            assert parse(wording.format_map(request._asdict())) == request


def test_prompts_are_all_different() -> None:
    total = sum(len(prompts_of(split)) for split, _ in SHARES)
    assert total == len(WORDINGS) * len(ANIMALS) * len(OBJECTS) * len(MOODS)
    assert len({prompt for split, _ in SHARES for prompt in prompts_of(split)}) == total


def test_a_foreign_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="small world"):
        score("Write a poem.", RIGHT)


def test_some_pairs_are_held_out_of_instructions() -> None:
    assert not any(unseen(parse(prompt)) for prompt in prompts_of("instructions"))
    assert any(unseen(parse(prompt)) for prompt in prompts_of("heldout_prompts"))


def test_drawn_answers_follow_and_wrong_ones_do_not() -> None:
    rng = random.Random(0)
    for prompt in rng.sample(prompts_of("ranked"), 400):
        answer = draw_answer(parse(prompt), rng)
        assert follows(prompt, answer.text)
        best = score(prompt, answer.text)
        assert best == 4.5 + 0.75 * (bool(answer.opening) + bool(answer.close))
        for attribute in ("animal", "object", "mood"):
            wrong = change(answer, [attribute], rng).text
            assert not follows(prompt, wrong)
            # off topic with both courtesies is worse than on topic with none
            assert score(prompt, wrong) <= 4
        assert not follows(prompt, cut(answer))
        assert score(prompt, cut(answer)) < best
        assert not follows(prompt, loop(answer, rng))
        assert score(prompt, loop(answer, rng)) < best


def test_each_probe_is_better_by_the_rubric() -> None:
    for kind, pairs in minimal_pairs(0, 20).items():
        assert len(pairs) == 20
        assert all(score(prompt, better) > score(prompt, worse) for prompt, better, worse in pairs), kind
        assert all(prompt in prompts_of("heldout_prompts") for prompt, _, _ in pairs)


def test_probes_depend_on_the_seed_alone() -> None:
    assert minimal_pairs(3, 5) == minimal_pairs(3, 5)
    assert minimal_pairs(3, 5) != minimal_pairs(4, 5)
