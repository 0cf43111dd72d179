"""The update: first pass, accumulation, padding, frozen models."""

from dataclasses import replace

import pytest
import torch
from ppo_parts import Parts, tiny_gpt2, tiny_llama
from torch import Tensor

from configs.schema.ppo import PPOConfig
from tasks.failures import Diverged
from tasks.ppo.advantages import gae, whiten
from tasks.ppo.experience import STATISTICS, Experience
from tasks.ppo.learner import Learner
from tasks.ppo.policy import Policy
from tasks.ppo.processes import Processes
from tasks.ppo.rollout import Answers, lay_out, read_all
from tasks.ppo.update import accumulate, update

GENERATOR_SEED = 11


def _experience(learner: Learner, answers: Answers) -> Experience:
    """A rollout whose rewards are drawn at random."""
    own = read_all(learner.policy.adapted, answers, 1.0, None)
    with learner.policy.reference() as reference:
        start = read_all(reference, answers, 1.0, None, features=True)
    assert start.feature_BTH is not None
    with torch.no_grad():
        value_BT = learner.critic(start.feature_BTH)
    rng = torch.Generator().manual_seed(GENERATOR_SEED)
    reward_BT = torch.randn(len(answers.ids_BL), 64, generator=rng)[:, : answers.width]
    advantage_BT, return_BT = gae(reward_BT, value_BT, answers.mask_BT, 1.0, 0.95)
    advantage_BT = whiten(advantage_BT, answers.mask_BT)
    rows = list(range(len(answers.ids_BL)))
    return Experience(rows, answers, own.logp_BT, value_BT, start.feature_BTH, advantage_BT, return_BT)


def _answers() -> Answers:
    rng = torch.Generator().manual_seed(3)
    lengths = [8, 1, 5, 3, 7, 2, 6, 4]
    prompts = [torch.randint(4, 40, (n % 4 + 2,), generator=rng).tolist() for n in lengths]
    return lay_out(prompts, [torch.randint(4, 40, (n,), generator=rng).tolist() for n in lengths], 0)


def _moved(learner: Learner) -> Learner:
    """The same learner with an adapter that does something."""
    for name, param in learner.policy.parameters().items():
        if "lora_B" in name:
            torch.nn.init.normal_(param, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    return learner


def _config(parts: Parts, **changes: object) -> PPOConfig:
    return parts.config(**{"batch": 8, "minibatch": 8, "epochs": 1, "clip_gradient": 1e9, **changes})


def _parameters(learner: Learner) -> Tensor:
    tensors = [*learner.policy.parameters().values(), *learner.critic.parameters()]
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
@pytest.mark.parametrize("minibatch", [8, 4])
def test_first_pass_compares_the_policy_with_itself(parts: Parts, processes: Processes, build, minibatch: int) -> None:
    """Learning rate 0: ratio 1 to 1e-6, no KL, nothing clipped, policy loss 0 on whitened advantages."""
    config = _config(parts, minibatch=minibatch)
    learner = _moved(Learner.create(config, build(40).requires_grad_(False)))
    for optimizer in (learner.policy_optimizer, learner.critic_optimizer):
        optimizer.param_groups[0]["lr"] = 0.0
    experience = _experience(learner, _answers())
    again_BT = read_all(learner.policy.adapted, experience.answers, 1.0, minibatch).logp_BT
    assert float(((again_BT - experience.logp_BT).exp() - 1).abs().max()) <= 1e-6
    learned = update(config, learner, experience, 8, processes)
    assert learned["clipped"] == 0.0
    assert learned["value_clipped"] == 0.0
    assert learned["approx_kl"] == pytest.approx(0, abs=1e-9)
    assert learned["policy_loss"] == pytest.approx(0, abs=1e-6)
    assert learned["gradient_norm"] > 1e-3


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_micro_batches_give_the_same_step(parts: Parts, processes: Processes, micro_batch: int) -> None:
    """1 x 8 and 8 x 1 rows of very different lengths: the same gradients and parameters (1e-6)."""
    found = []
    for size in (None, micro_batch):
        config = _config(parts, micro_batch=size, entropy_coefficient=0.01)
        learner = _moved(Learner.create(config, tiny_llama(40).requires_grad_(False)))
        # plain gradient descent: Adam would turn a rounding error in a zero gradient into a whole step
        learner.policy_optimizer = torch.optim.SGD(learner.policy.parameters().values(), lr=0.1)
        learner.critic_optimizer = torch.optim.SGD(learner.critic.parameters(), lr=0.1)
        before = _parameters(learner)
        learned = update(config, learner, _experience(learner, _answers()), 8, processes)
        found.append((_parameters(learner), learned))
        assert float((_parameters(learner) - before).abs().max()) > 1e-3
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-6, rtol=0)
    assert found[0][1] == pytest.approx(found[1][1], abs=1e-5)


def test_padding_to_8_and_to_64_gives_equal_losses(parts: Parts, processes: Processes) -> None:
    config = _config(parts)
    learner = _moved(Learner.create(config, tiny_gpt2(40).requires_grad_(False)))
    experience = _experience(learner, _answers())
    width = experience.answers.width

    def padded(to: int) -> Experience:
        def wide(tensor: Tensor, value: float = 0.0) -> Tensor:
            rest = (0, 0) * (tensor.dim() - 2) + (0, to - width)
            return torch.nn.functional.pad(tensor, rest, value=value)

        answers = replace(experience.answers, ids_BL=wide(experience.answers.ids_BL, value=7))
        names = ("logp_BT", "value_BT", "feature_BTH", "advantage_BT", "return_BT")
        return replace(experience, answers=answers, **{name: wide(getattr(experience, name), 100.0) for name in names})

    rows = list(range(8))
    found = []
    for wide_experience in (padded(8), padded(64)):
        # uncut, as if one row in another micro-batch were that long
        object.__setattr__(wide_experience, "take", lambda _, e=wide_experience: e)
        found.append(accumulate(config, learner.policy, learner.critic, wide_experience, rows, processes))
        found.append(torch.cat([p.grad.flatten() for p in learner.policy.parameters().values()]))  # type: ignore[union-attr]
        learner.policy_optimizer.zero_grad()
    torch.testing.assert_close(found[0], found[2], atol=1e-4, rtol=1e-6)
    torch.testing.assert_close(found[1], found[3], atol=1e-6, rtol=0)
    assert found[0][STATISTICS.index("tokens")] == 36


def test_no_gradient_reaches_reference_or_features(parts: Parts, processes: Processes) -> None:
    config = _config(parts)
    learner = _moved(Learner.create(config, tiny_llama(40).requires_grad_(False)))
    experience = _experience(learner, _answers())
    accumulate(config, learner.policy, learner.critic, experience, list(range(8)), processes)
    trained = set(learner.policy.parameters())
    frozen = [p for name, p in learner.policy.adapted.named_parameters() if name not in trained]
    assert frozen
    assert all(param.grad is None for param in [*frozen, *learner.policy.merged.parameters()])
    assert experience.feature_BTH.grad is None
    assert all(param.grad is not None for param in learner.policy.parameters().values())


def test_value_loss_does_not_move_the_policy(parts: Parts, processes: Processes) -> None:
    config = _config(parts)
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    experience = _experience(learner, _answers())
    still = replace(experience, advantage_BT=torch.zeros_like(experience.advantage_BT))
    accumulate(config, learner.policy, learner.critic, still, list(range(8)), processes)
    assert all(not param.grad.any() for param in learner.policy.parameters().values() if param.grad is not None)
    assert any(param.grad is not None and param.grad.any() for param in learner.critic.parameters())


def test_a_minibatch_without_a_row_of_this_process(parts: Parts, processes: Processes) -> None:
    """The other processes have them all: nothing is added, and the step is still made together."""
    config = _config(parts)
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    experience = _experience(learner, _answers())
    sums = accumulate(config, learner.policy, learner.critic, experience, [], processes)
    assert not sums.any()


@pytest.mark.parametrize(
    ("field", "setting"), [("advantage_BT", "ppo.learning_rate"), ("return_BT", "ppo.value_learning_rate")]
)
def test_what_is_not_finite_is_named(parts: Parts, processes: Processes, field: str, setting: str) -> None:
    config = _config(parts)
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    experience = _experience(learner, _answers())
    getattr(experience, field)[0, 0] = float("nan")
    with pytest.raises(Diverged, match=setting):
        update(config, learner, experience, 8, processes)


def test_dropout_of_the_adapter_is_refused(parts: Parts) -> None:
    from configs.schema.training import LoraSettings

    with pytest.raises(ValueError, match=r"ppo\.lora\.dropout=0\.1"):
        parts.config(lora=LoraSettings(dropout=0.1))


def test_policy_and_merged_agree_after_an_update(parts: Parts, processes: Processes) -> None:
    config = _config(parts, minibatch=2)
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    experience = _experience(learner, _answers())
    update(config, learner, experience, 8, processes)
    learner.policy.refresh()
    policy: Policy = learner.policy
    own, merged = (read_all(m, experience.answers, 1.0, None).logp_BT for m in (policy.adapted, policy.merged))
    assert float((own - experience.logp_BT).abs().max()) > 1e-3
    torch.testing.assert_close(own, merged, atol=2e-5, rtol=0)
