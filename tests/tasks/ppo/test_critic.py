"""The critic learns what it is given."""

import torch
from ppo_parts import ANSWERS, PROMPTS, tiny_llama

from tasks.ppo.advantages import explained_variance
from tasks.ppo.critic import Critic
from tasks.ppo.losses import value_loss
from tasks.ppo.rollout import lay_out, read_all


def test_first_values_are_zero() -> None:
    assert not Critic(32, seed=0)(torch.randn(2, 5, 32)).any()


def test_overfits_fixed_returns() -> None:
    """Returns drawn at random, one a state: explained variance over .9, from features of a frozen trunk."""
    answers = lay_out(PROMPTS, ANSWERS, 0)
    feature_BTH = read_all(tiny_llama(40), answers, 1.0, None, features=True).feature_BTH
    assert feature_BTH is not None
    return_BT = torch.randn(feature_BTH.shape[:2], generator=torch.Generator().manual_seed(0))
    critic, mask_BT = Critic(32, seed=0), answers.mask_BT
    optimizer = torch.optim.AdamW(critic.parameters(), lr=3e-3, eps=1e-5, weight_decay=0.0)
    old_BT = torch.zeros_like(return_BT)
    for _ in range(150):
        optimizer.zero_grad()
        sums = value_loss(critic(feature_BTH), old_BT, return_BT, mask_BT, clip=10.0)
        (sums.loss / sums.tokens).backward()
        optimizer.step()
    with torch.no_grad():
        assert explained_variance(critic(feature_BTH), return_BT, mask_BT) > 0.9


def test_values_look_at_the_past_alone_and_remember_it() -> None:
    critic = Critic(8, seed=0)
    torch.nn.init.normal_(critic.value.weight)
    feature_BTH = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    value_BT = critic(feature_BTH).detach()
    for t in range(6):
        other_BTH = feature_BTH.clone()
        other_BTH[:, t] += 1 + torch.arange(8.0)
        moved = (critic(other_BTH).detach() - value_BT).abs()[0]
        assert float(moved[:t].sum()) == 0.0
        assert float(moved[t:].min()) > 1e-4


def test_the_seed_decides_the_weights() -> None:
    one, same, other = (Critic(8, seed).inner.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
