"""Golden numbers of the KL penalty, token rewards, adaptive beta and the reward scale."""

import math

import pytest
import torch

from tasks.ppo.penalties import KlController, RewardScale, kl_tokens, token_rewards


@pytest.mark.parametrize(("estimator", "nats"), [("k1", 0.693147), ("k2", 0.240227), ("k3", 0.193147)])
def test_kl_estimators(estimator: str, nats: float) -> None:
    logp, reference = torch.tensor([[math.log(0.5)]]), torch.tensor([[math.log(0.25)]])
    assert float(kl_tokens(logp, reference, estimator)) == pytest.approx(nats, abs=1e-6)


def test_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match="k4"):
        kl_tokens(torch.zeros(1, 1), torch.zeros(1, 1), "k4")


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_unbiased_estimators_average_to_the_kl(estimator: str) -> None:
    p, q = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([[0.3, 0.3, 0.4]])
    exact = float((p * (p / q).log()).sum())
    assert float((p * kl_tokens(p.log(), q.log(), estimator)).sum()) == pytest.approx(exact, abs=1e-6)


def test_token_rewards_of_an_answer_that_ended() -> None:
    kl_BT = torch.tensor([[0.5, -0.25, 1.0, 7.0, 7.0]])
    reward_BT = token_rewards(kl_BT, torch.tensor([2.0]), torch.tensor([3]), torch.tensor([True]), 0.1, 5.0)
    torch.testing.assert_close(reward_BT, torch.tensor([[-0.05, 0.025, -0.1 + 2.0, 0.0, 0.0]]))
    assert float(reward_BT.sum()) == pytest.approx(2.0 - 0.1 * (0.5 - 0.25 + 1.0))


def test_token_rewards_of_a_truncated_answer() -> None:
    kl_BT = torch.tensor([[0.5, 1.0]])
    reward_BT = token_rewards(kl_BT, torch.tensor([2.0]), torch.tensor([2]), torch.tensor([False]), 0.1, 5.0)
    torch.testing.assert_close(reward_BT, torch.tensor([[-0.05, -0.1 + 2.0 - 5.0]]))


def test_an_empty_answer_has_no_last_token() -> None:
    """Index -1 would put the score on the last column."""
    kl_BT = torch.full((2, 3), 0.5)
    ended_B = torch.tensor([True, True])
    reward_BT = token_rewards(kl_BT, torch.tensor([9.0, 1.0]), torch.tensor([0, 1]), ended_B, 0.1, 2.0)
    torch.testing.assert_close(reward_BT, torch.tensor([[0.0, 0.0, 0.0], [0.95, 0.0, 0.0]]))


def test_adaptive_beta() -> None:
    # 9/6 - 1 = .5, clipped to .2; .2 * (1 + .2 * 256 / 10000)
    control = KlController(beta=0.2, target=6.0, horizon=10_000)
    control.update(9.0, 256)
    assert control.beta == pytest.approx(0.201024, abs=1e-9)
    # 5.4/6 - 1 = -.1, not clipped
    control = KlController(beta=0.2, target=6.0, horizon=10_000)
    control.update(5.4, 500)
    assert control.beta == pytest.approx(0.2 * (1 - 0.1 * 500 / 10_000))


def test_beta_without_a_target_is_fixed() -> None:
    control = KlController(beta=0.2, target=None, horizon=10)
    control.update(9.0, 256)
    assert control.beta == 0.2


def test_reward_scale_and_counted_clip() -> None:
    scaled_B, clipped_B = RewardScale(mean=2.0, deviation=0.5).apply(torch.tensor([2.0, 3.0, 5.0, -3.0]), clip=3.0)
    assert scaled_B.tolist() == [0.0, 2.0, 3.0, -3.0]
    assert clipped_B.tolist() == [False, False, True, True]
    _, clipped_B = RewardScale().apply(torch.tensor([1e9]), clip=None)
    assert clipped_B.tolist() == [False]
