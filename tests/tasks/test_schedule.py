"""Learning rate in closed form, and what weight decay touches."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from configs.schema.training import OptimizerConfig
from tasks.schedule import adamw, warmup_cosine


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        (0, 0.2),  # 1/5
        (3, 0.8),  # 4/5
        (4, 1.0),  # the warm-up is over
        (8, 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))),  # a quarter of the 16 steps of decay
        (12, 0.55),  # half
        (16, 0.1 + 0.9 * 0.5 * (1 + math.cos(3 * math.pi / 4))),
        (20, 0.1),
        (25, 0.1),
    ],
)
def test_closed_form(step: int, factor: float) -> None:
    assert warmup_cosine(step, steps=20, warmup=4, min_rate=0.1) == pytest.approx(factor, rel=1e-12)


@given(steps=st.integers(1, 500), warmup=st.integers(0, 600), low=st.floats(0, 1))
def test_rises_then_falls_within_bounds(steps: int, warmup: int, low: float) -> None:
    factors = [warmup_cosine(step, steps, warmup, low) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = min(warmup, steps - 1)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    falling = factors[warmup:]
    assert all(a >= b - 1e-12 for a, b in pairwise(falling))


def test_weight_decay_on_trained_matrices_only() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 2))
    model[2].requires_grad_(False)
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    optimizer = adamw(model, OptimizerConfig(learning_rate=0.1, weight_decay=0.5))
    for param in model.parameters():
        param.grad = torch.zeros_like(param)
    optimizer.step()
    for name, param in model.named_parameters():
        # without a gradient the only change is decay: 1 - lr * decay
        factor = 0.95 if name == "0.weight" else 1.0
        assert torch.allclose(param, before[name] * factor), name
