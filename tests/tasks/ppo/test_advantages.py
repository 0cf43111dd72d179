"""Golden numbers of advantages and whitening, worked by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.ppo.advantages import explained_variance, gae, length_mask, moments, whiten
from tasks.ppo.penalties import token_rewards

VALUE_BT = torch.tensor([[0.5, 0.4, 0.3, 0.2]])
REWARD_BT = torch.tensor([[-0.1, 0.0, 0.05, 1.0]])
ALL_BT = torch.ones(1, 4, dtype=torch.bool)


def _row(values: list[float]) -> Tensor:
    return torch.tensor([values])


def test_gae_hand_worked() -> None:
    # deltas, last to first: 1-.2=.8; .05+.2-.3=-.05; 0+.3-.4=-.1; -.1+.4-.5=-.2
    # A: .8; -.05+.95*.8=.71; -.1+.95*.71=.5745; -.2+.95*.5745=.345775
    advantage_BT, return_BT = gae(REWARD_BT, VALUE_BT, ALL_BT, gamma=1.0, lam=0.95)
    torch.testing.assert_close(advantage_BT, _row([0.345775, 0.5745, 0.71, 0.8]))
    torch.testing.assert_close(return_BT, _row([0.845775, 0.9745, 1.01, 1.0]))


def test_lambda_zero_is_the_temporal_difference_error() -> None:
    advantage_BT, _ = gae(REWARD_BT, VALUE_BT, ALL_BT, gamma=1.0, lam=0.0)
    torch.testing.assert_close(advantage_BT, _row([-0.2, -0.1, -0.05, 0.8]))


def test_gamma_and_lambda_one_is_return_to_go_minus_value() -> None:
    advantage_BT, return_BT = gae(REWARD_BT, VALUE_BT, ALL_BT, gamma=1.0, lam=1.0)
    to_go_BT = _row([0.95, 1.05, 1.05, 1.0])
    torch.testing.assert_close(return_BT, to_go_BT)
    torch.testing.assert_close(advantage_BT, to_go_BT - VALUE_BT)


@pytest.mark.parametrize(("pad_value", "pad_kl"), [(0.9, 0.0), (100.0, 7.0), (math.nan, math.inf)])
def test_score_sits_on_the_end_token_and_pads_are_inert(pad_value: float, pad_kl: float) -> None:
    # three real tokens, the third is the end: A3 = 1-.3 = .7; A2 = .3-.4+.95*.7 = .565; A1 = .4-.5+.95*.565
    value_BT = _row([0.5, 0.4, 0.3, pad_value, pad_value])
    kl_BT = _row([0.0, 0.0, 0.0, pad_kl, pad_kl])
    length_B = torch.tensor([3])
    reward_BT = token_rewards(kl_BT, torch.tensor([1.0]), length_B, torch.tensor([True]), 0.1, 2.0)
    advantage_BT, return_BT = gae(reward_BT, value_BT, length_mask(length_B, 5), 1.0, 0.95)
    torch.testing.assert_close(advantage_BT, _row([0.43675, 0.565, 0.70, 0.0, 0.0]))
    assert return_BT[0, 3:].tolist() == [0.0, 0.0]


def test_masks_come_from_lengths() -> None:
    assert length_mask(torch.tensor([0, 2, 3]), 3).tolist() == [
        [False, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_no_tokens_at_all() -> None:
    empty_BT = torch.zeros(2, 0)
    advantage_BT, _ = gae(empty_BT, empty_BT, empty_BT.bool(), 1.0, 0.95)
    assert advantage_BT.shape == (2, 0)
    assert whiten(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)).tolist() == [[0.0] * 3] * 2


def test_whitening_hand_worked() -> None:
    # unmasked 1, 2, 3: mean 2, deviation sqrt(2/3); the masked 50 has no say
    white_BT = whiten(_row([1.0, 2.0, 50.0, 3.0]), torch.tensor([[True, True, False, True]]))
    torch.testing.assert_close(white_BT, _row([-1.2247449, 0.0, 0.0, 1.2247449]))


@given(st.lists(st.integers(0, 6), min_size=2, max_size=6), st.integers(0, 10**6), st.integers(1, 5))
def test_whitening_in_two_parts_is_whitening_of_the_whole(lengths: list[int], seed: int, cut: int) -> None:
    """Two processes equal one: each part is whitened with the sums of both."""
    cut = min(cut, len(lengths) - 1)
    advantage_BT = torch.randn(len(lengths), 6, generator=torch.Generator().manual_seed(seed)) * 3 + 5
    mask_BT = length_mask(torch.tensor(lengths), 6)
    whole_BT = whiten(advantage_BT, mask_BT)
    parts = [(advantage_BT[:cut], mask_BT[:cut]), (advantage_BT[cut:], mask_BT[cut:])]
    tokens = [part.masked_select(mask).double() for part, mask in parts]
    count = float(sum(t.numel() for t in tokens))
    total = sum(float(t.sum()) for t in tokens)
    mean = total / max(count, 1)
    squares = sum(float((t - mean).square().sum()) for t in tokens)
    for (part, mask), rows in zip(parts, (whole_BT[:cut], whole_BT[cut:]), strict=True):
        sums = iter([torch.tensor([count, total], dtype=torch.float64), torch.tensor(squares).double()])
        torch.testing.assert_close(whiten(part, mask, lambda _, s=sums: next(s)), rows)
    if mask_BT.sum() > 1:
        assert abs(float(whole_BT.sum())) < 1e-3


def test_moments_of_nothing_are_zero() -> None:
    mean, deviation = moments(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    assert (float(mean), float(deviation)) == (0.0, 0.0)


def test_explained_variance() -> None:
    return_BT = _row([1.0, 2.0, 3.0, 99.0])
    mask_BT = torch.tensor([[True, True, True, False]])
    assert explained_variance(return_BT, return_BT, mask_BT) == 1.0
    assert explained_variance(torch.full((1, 4), 2.0), return_BT, mask_BT) == 0.0
    # errors -1, 0, 1 halved: the variance left is a quarter
    half_BT = _row([1.5, 2.0, 2.5, 0.0])
    assert explained_variance(half_BT, return_BT, mask_BT) == pytest.approx(0.75)
    assert explained_variance(half_BT, torch.ones(1, 4), mask_BT) == 0.0
