"""Golden numbers of the clipped losses, worked by hand."""

import math

import pytest
import torch

from tasks.ppo.losses import approximate_kl, masked_sum, policy_loss, value_loss

RATIO_BT = torch.tensor([[1.5, 1.5, 0.5, 0.5, 1.0]])
ADVANTAGE_BT = torch.tensor([[1.0, -1.0, 1.0, -1.0, 2.0]])
ALL_BT = torch.ones(1, 5, dtype=torch.bool)


def test_policy_loss_hand_worked() -> None:
    # max(-A r, -A clamp(r)): -1.2, 1.5, -.5, .8, -2: sum -1.4 over 5; the clamp held the 1st and the 4th
    sums = policy_loss(RATIO_BT.log(), torch.zeros(1, 5), ADVANTAGE_BT, ALL_BT, 0.2)
    assert float(sums.loss / sums.tokens) == pytest.approx(-0.28, abs=1e-6)
    assert float(sums.clipped / sums.tokens) == pytest.approx(0.4)


def test_policy_gradient_by_token() -> None:
    logp_BT = RATIO_BT.log().requires_grad_()
    policy_loss(logp_BT, torch.zeros(1, 5), ADVANTAGE_BT, ALL_BT, 0.2).loss.backward()
    assert logp_BT.grad is not None
    # d(-A r)/d logp = -A r where the clamp does not hold: ratio 1.5 gives 0 for A=+1 and 1.5 for A=-1
    torch.testing.assert_close(logp_BT.grad, torch.tensor([[0.0, 1.5, -0.5, 0.0, -2.0]]))


def test_value_loss_hand_worked() -> None:
    # errors .25, 1, .04; clamped to .2, .2, .1: .09, 3.24, .04; larger: .25 + 3.24 + .04 = 3.53; half a third
    sums = value_loss(
        torch.tensor([[1.0, 1.0, 0.1]]), torch.zeros(1, 3), torch.tensor([[0.5, 2.0, 0.3]]), ALL_BT[:, :3], 0.2
    )
    assert float(sums.loss / sums.tokens) == pytest.approx(0.588333, abs=1e-6)
    assert float(sums.clipped / sums.tokens) == pytest.approx(1 / 3)


def test_rounding_inside_the_value_clip_is_not_counted() -> None:
    old_BT, value_BT, return_BT = torch.rand(3, 1, 1000, generator=torch.Generator().manual_seed(0)) * 0.19
    held_BT = old_BT + (value_BT - old_BT)
    assert bool(((held_BT - return_BT).square() > (value_BT - return_BT).square()).any())
    assert float(value_loss(value_BT, old_BT, return_BT, value_BT < 99, 0.2).clipped) == 0.0


def test_pads_are_inert_in_every_sum() -> None:
    mask_BT = torch.tensor([[True, True, True, True, True, False, False]])
    bad = torch.tensor([[math.nan, math.inf]])
    wide = [torch.cat([row, bad], 1) for row in (RATIO_BT.log(), torch.zeros(1, 5), ADVANTAGE_BT)]
    wide[0].requires_grad_()
    sums = policy_loss(*wide, mask_BT, 0.2)
    assert float(sums.loss.detach() / sums.tokens) == pytest.approx(-0.28, abs=1e-6)
    assert float(approximate_kl(wide[0].detach(), wide[1], mask_BT)) == pytest.approx(
        float(approximate_kl(RATIO_BT.log(), torch.zeros(1, 5), ALL_BT))
    )
    held = value_loss(*wide, mask_BT, 0.2)
    assert torch.isfinite(held.loss)
    assert float(held.tokens) == 5


def test_accumulation_is_by_tokens() -> None:
    """12 tokens at 1.0 and 2 tokens at 8.0 are 2.0; the mean of the two means would be 4.5."""
    parts = [(torch.full((1, 12), 1.0), 12), (torch.full((1, 12), 8.0), 2)]
    masks = [torch.arange(12)[None, :] < tokens for _, tokens in parts]
    total = sum(masked_sum(part, mask) for (part, _), mask in zip(parts, masks, strict=True))
    assert float(total / sum(mask.sum() for mask in masks)) == 2.0


def test_nothing_moved() -> None:
    logp_BT = torch.randn(3, 4)
    mask_BT = torch.ones(3, 4, dtype=torch.bool)
    assert float(approximate_kl(logp_BT, logp_BT.clone(), mask_BT)) == 0.0
    sums = policy_loss(logp_BT, logp_BT.clone(), torch.randn(3, 4), mask_BT, 0.2)
    assert float(sums.clipped) == 0.0
