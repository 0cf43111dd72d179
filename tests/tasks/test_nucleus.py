"""Top-k and top-p by hand, and in the sampler."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tasks.nucleus import cut
from tasks.sampling import generate

LOGITS = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()


def kept(**settings: Any) -> list[int]:
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
    return torch.isfinite(cut(LOGITS, **plain | settings))[0].nonzero()[:, 0].tolist()


def test_the_fewest_likeliest_tokens_stay() -> None:
    assert kept() == [0, 1, 2, 3]
    assert kept(top_k=2) == [0, 1]
    assert kept(top_p=0.4) == [0]
    assert kept(top_p=0.5001) == [0, 1]
    assert kept(top_p=0.74) == [0, 1]
    assert kept(top_p=0.76) == [0, 1, 2]
    assert kept(top_p=1e-9) == [0]
    assert kept(top_p=0.76, temperature=0.5) == [0, 1]  # probabilities .725, .181, .065, .029
    assert kept(top_p=0.6, top_k=2) == [0]  # of the two that stay, 2/3 and 1/3
    assert cut(LOGITS, 0.0, 0.1, 1) is LOGITS


def test_ties_stay_together_and_order_does_not_matter() -> None:
    logits = torch.tensor([[1.0, 3.0, 1.0, -math.inf]])
    assert torch.isfinite(cut(logits, 1.0, 1.0, 2))[0].tolist() == [True, True, True, False]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_top_k_one_is_greedy(make_model: Callable[..., Any], kind: str) -> None:
    model, prompts = make_model(kind), [[5, 6, 7], [8], [9, 10]]
    plain: dict[str, Any] = {"max_new_tokens": 8, "end_ids": [1], "pad_id": 0}
    greedy = generate(model, prompts, temperature=0.0, **plain)
    assert generate(model, prompts, temperature=1.0, top_k=1, generator=torch.Generator(), **plain) == greedy
    assert generate(model, prompts, temperature=1.0, top_p=1e-9, generator=torch.Generator(), **plain) == greedy


def test_a_generator_a_prompt_makes_answers_independent(make_model: Callable[..., Any]) -> None:
    model, prompts = make_model("llama"), [[5, 6, 7], [8], [9, 10, 11, 12], [8]]
    plain: dict[str, Any] = {"max_new_tokens": 10, "temperature": 1.0, "end_ids": list(range(0, 340, 6)), "pad_id": 0}

    def random(*seeds: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    together = generate(model, prompts, generator=random(1, 2, 3, 2), **plain)
    assert together == generate(model, prompts, generator=random(1, 2, 3, 2), batch=2, **plain)
    assert together[1] == together[3]
    assert generate(model, prompts[2:3], generator=random(3), **plain) == together[2:3]
