"""Learning rates in closed form."""

import pytest
import torch
from torch import nn

from configs.schema.ppo_parts import AdamConfig, RateConfig
from tasks.ppo.rates import adamw, set_rate, share_of_peak


def _shares(**settings: object) -> list[float]:
    config = RateConfig(**settings)
    return [share_of_peak(config, step, 10) for step in (0, 1, 2, 6, 9)]


def test_each_schedule_at_first_warm_up_middle_and_last_step() -> None:
    assert _shares() == [1.0] * 5
    # warm-up of 2: 1/3, 2/3, then 1 at step 2; half of the way is step 6; the last is 7/8 of the way
    assert _shares(schedule="constant", warmup_steps=2) == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])
    assert _shares(schedule="linear", warmup_steps=2) == pytest.approx([1 / 3, 2 / 3, 1, 0.5, 0.125])
    assert _shares(schedule="linear", warmup_steps=2, min_rate=0.2)[3:] == pytest.approx([0.6, 0.3])
    assert _shares(schedule="cosine", warmup_steps=2)[2:] == pytest.approx([1, 0.5, 0.0380602])


def test_the_rate_is_a_share_of_the_one_the_optimiser_was_made_with() -> None:
    optimizer = adamw([nn.Parameter(torch.zeros(1))], 0.5, AdamConfig(beta1=0.8, eps=1e-6))
    for share in (0.5, 0.1):
        set_rate(optimizer, share)
        assert optimizer.param_groups[0]["lr"] == 0.5 * share
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)
    assert optimizer.param_groups[0]["eps"] == 1e-6
