"""Perplexity: worked by hand, independent of batches, masked."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.failures import BadData
from tasks.perplexity import perplexity, predicted_tokens, token_nats


class Table(torch.nn.Module):
    """p(next | token) from a table: 0→1 with .5, 1→2 with .25, 2→0 with .125, the rest shared evenly."""

    def __init__(self) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        p = torch.tensor([[0.25, 0.5, 0.25], [0.375, 0.375, 0.25], [0.125, 0.4375, 0.4375]])
        self.register_buffer("logp", p.log())

    def forward(self, input_ids: torch.Tensor, **ignored: Any) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logp[input_ids])


def test_worked_by_hand() -> None:
    model: Any = Table()
    # 0→1→2→0: ln 2 + ln 4 + ln 8 = 6 ln 2; 1→2: ln 4; one token: nothing is predicted
    rows = [[1, 2], [0, 1, 2, 0], [2]]
    assert token_nats(model, rows, 0) == pytest.approx([2 * math.log(2), 6 * math.log(2), 0.0])
    assert predicted_tokens(rows) == 4
    assert perplexity(model, rows, 0) == pytest.approx(2 ** (8 / 4))


def test_only_masked_tokens_count() -> None:
    model: Any = Table()
    rows, masks = [[0, 1, 2, 0], [1, 2]], [[0, 0, 1, 0], [1, 1]]  # →2 of the first; the first token never counts
    assert token_nats(model, rows, 0, masks=masks) == pytest.approx([2 * math.log(2), 2 * math.log(2)])
    assert perplexity(model, rows, 0, masks=masks) == pytest.approx(4.0)


def test_nothing_to_predict_is_an_error() -> None:
    model: Any = Table()
    with pytest.raises(BadData):
        perplexity(model, [[1], []], 0)


def test_training_mode_is_given_back() -> None:
    model: Any = Table().train()
    token_nats(model, [[0, 1]], 0)
    assert model.training


ROWS = st.lists(st.lists(st.integers(0, 339), min_size=1, max_size=30), min_size=1, max_size=9)


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, batch=st.integers(1, 9), kind=st.sampled_from(["llama", "gpt2"]))
def test_a_row_does_not_see_its_batch(
    make_model: Callable[..., Any], rows: list[list[int]], batch: int, kind: str
) -> None:
    model = make_model(kind)
    alone = [token_nats(model, [row], 0)[0] for row in rows]
    assert token_nats(model, rows, 0, batch=batch) == pytest.approx(alone, rel=1e-5, abs=1e-4)
