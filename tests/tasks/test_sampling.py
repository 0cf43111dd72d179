"""Sampling: equal to transformers' greedy search, unbiased, reproducible, ends where it should."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tasks.failures import BadData
from tasks.models import pad_batch
from tasks.sampling import generate

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14, 15], [16, 17], [5, 99, 200, 301]]


def _hf_greedy(model: Any, prompts: list[list[int]], tokens: int, end: int) -> list[list[int]]:
    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        settings = {"max_new_tokens": tokens, "do_sample": False, "eos_token_id": end, "pad_token_id": 0}
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings)
        answers.append(output[0, len(prompt) :].tolist())
    return answers


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize(("batch", "by_length"), [(1, False), (2, False), (2, True), (256, False)])
def test_greedy_answers_are_those_of_transformers_one_by_one(
    make_model: Callable[..., Any], kind: str, batch: int, by_length: bool
) -> None:
    """Left padding and the dropping of finished rows change nothing, with learned positions neither."""
    model = make_model(kind)
    free = _hf_greedy(model, PROMPTS, 24, end=-1)
    end = free[2][3]  # one answer ends after a few tokens, others go on
    expected = _hf_greedy(model, PROMPTS, 24, end)
    assert {len(answer) for answer in expected} != {24}
    found = generate(
        model,
        PROMPTS,
        max_new_tokens=24,
        temperature=0.0,
        end_ids=[end],
        pad_id=0,
        batch=batch,
        by_length=by_length,
    )
    assert found == expected


def test_the_end_token_is_part_of_the_answer_and_nothing_follows(make_model: Callable[..., Any]) -> None:
    model = make_model()
    everything = list(range(0, 340, 2))
    generator = torch.Generator().manual_seed(0)
    answers = generate(
        model, PROMPTS * 8, max_new_tokens=12, temperature=1.0, end_ids=everything, pad_id=0, generator=generator
    )
    assert len({len(answer) for answer in answers}) > 2
    for answer in answers:
        assert all(token % 2 for token in answer[:-1])
        assert answer[-1] % 2 == 0 or len(answer) == 12


def test_the_same_generator_state_gives_the_same_answers(make_model: Callable[..., Any]) -> None:
    model = make_model()

    def run(seed: int, prompts: list[list[int]], ends: list[int]) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return generate(model, prompts, max_new_tokens=10, temperature=1.0, end_ids=ends, pad_id=0, generator=generator)

    torch.manual_seed(1)
    first = run(3, PROMPTS, [])
    torch.manual_seed(2)
    assert run(3, PROMPTS, []) == first
    assert run(4, PROMPTS, []) != first
    # an answer does not depend on when the others end
    ended = run(3, PROMPTS, [first[0][0], first[1][1]])
    for short, whole in zip(ended, first, strict=True):
        assert short == whole[: len(short)]
    assert min(len(answer) for answer in ended) == 1


def test_draws_follow_the_softmax_at_a_temperature(make_model: Callable[..., Any]) -> None:
    """20,000 draws of one token against exact probabilities: chi-square with 12 classes, 99.99 % quantile 39."""
    model = make_model(vocabulary=12)
    with torch.no_grad():
        p = torch.softmax(model(torch.tensor([[3, 4]])).logits[0, -1].double() / 2.0, -1)
    draws = 20_000
    generator = torch.Generator().manual_seed(0)
    answers = generate(
        model,
        [[3, 4]] * draws,
        max_new_tokens=1,
        temperature=2.0,
        end_ids=[],
        pad_id=0,
        generator=generator,
        batch=4096,
    )
    counts = torch.bincount(torch.tensor(answers)[:, 0], minlength=12).double()
    assert float(((counts - draws * p) ** 2 / (draws * p)).sum()) < 39


def test_a_pad_id_that_is_also_a_prompt_token_is_only_padding_where_it_is(make_model: Callable[..., Any]) -> None:
    model = make_model()
    prompts = [[0, 5, 0, 6], [7, 7]]
    expected = _hf_greedy(model, prompts, 8, end=-1)
    assert generate(model, prompts, max_new_tokens=8, temperature=0.0, end_ids=[], pad_id=0) == expected


def test_mode_is_given_back_and_empty_prompts_are_refused(make_model: Callable[..., Any]) -> None:
    model = make_model().train()
    assert generate(model, [], max_new_tokens=4, temperature=0.0, end_ids=[], pad_id=0) == []
    generate(model, [[5]], max_new_tokens=1, temperature=0.0, end_ids=[], pad_id=0)
    assert model.training
    with pytest.raises(BadData):
        generate(model, [[5], []], max_new_tokens=4, temperature=0.0, end_ids=[], pad_id=0)


def test_padding_sides() -> None:
    ids, mask = pad_batch([[1, 2, 3], [4]], 0, "left")
    assert ids.tolist() == [[1, 2, 3], [0, 0, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    ids, mask = pad_batch([[1, 2, 3], [4]], 0)
    assert ids.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
