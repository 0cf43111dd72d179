"""What changes an update: dual clip, target KL, critic warm-up, running mean, pretraining gradient."""

import pytest
import torch
from ppo_parts import Parts, tiny_llama
from test_update import _answers, _config, _experience, _moved
from torch import Tensor, nn

from configs.schema.ppo_parts import CriticConfig, EmaConfig, PtxConfig, RateConfig
from tasks.ppo.ema import Average
from tasks.ppo.learner import Learner
from tasks.ppo.losses import policy_loss
from tasks.ppo.processes import Processes
from tasks.ppo.ptx import Text, Texts, sample, text_loss
from tasks.ppo.update import update


def _flat(learner: Learner) -> tuple[Tensor, Tensor]:
    return tuple(
        torch.cat([param.detach().flatten().clone() for param in part.values()])
        for part in (learner.policy.parameters(), learner.critic.trained())
    )  # type: ignore[return-value]


def test_dual_clip_hand_worked() -> None:
    """Ratios 5, 2, 5 with A -1, -1, 1, eps .2, c 3: losses 3 instead of 5, 2, and -1.2; only the first is held."""
    logp_BT = torch.tensor([[5.0, 2.0, 5.0]]).log().requires_grad_()
    advantage_BT, mask_BT = torch.tensor([[-1.0, -1.0, 1.0]]), torch.ones(1, 3, dtype=torch.bool)
    plain = policy_loss(logp_BT, torch.zeros(1, 3), advantage_BT, mask_BT, 0.2)
    assert plain.loss.item() == pytest.approx(5 + 2 - 1.2)
    assert float(plain.dual) == 0.0
    held = policy_loss(logp_BT, torch.zeros(1, 3), advantage_BT, mask_BT, 0.2, dual_clip=3.0)
    assert held.loss.item() == pytest.approx(3 + 2 - 1.2)
    assert float(held.dual) == 1.0
    held.loss.backward()
    torch.testing.assert_close(logp_BT.grad, torch.tensor([[0.0, 2.0, 0.0]]))


def test_target_kl_ends_an_update_and_is_counted(parts: Parts, processes: Processes) -> None:
    """Four steps with a large rate: the first cannot have moved, so at least one is made, and the rest is left out."""
    found = {}
    for target in (None, 1e-6):
        config = _config(parts, minibatch=4, epochs=2, learning_rate=0.1, target_kl=target)
        learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
        found[target] = update(config, learner, _experience(learner, _answers()), 8, processes)
        steps = {float(state["step"]) for state in learner.policy_optimizer.state_dict()["state"].values()}
        assert steps == {4.0 if target is None else 1.0}
        assert all(param.grad is None for param in learner.policy.parameters().values())
    assert found[None]["skipped"] == 0.0
    assert found[1e-6]["skipped"] == 0.75
    assert found[1e-6]["approx_kl"] <= 1e-6 < found[None]["approx_kl"]


def test_in_warm_up_the_critic_alone_learns(parts: Parts, processes: Processes) -> None:
    config = _config(parts, critic=CriticConfig(warmup=1), entropy_coefficient=0.1)
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    experience, before = _experience(learner, _answers()), _flat(learner)
    update(config, learner, experience, 8, processes)
    after = _flat(learner)
    assert torch.equal(after[0], before[0])
    assert not torch.equal(after[1], before[1])
    learner.iteration = 1
    update(config, learner, experience, 8, processes)
    assert not torch.equal(_flat(learner)[0], before[0])


def test_both_rates_follow_their_schedules(parts: Parts, processes: Processes) -> None:
    """Four iterations of one step: a line from 1 to 0 for the policy, warm-up of three steps for the critic."""
    config = _config(parts, rate=RateConfig(schedule="linear"), value_rate=RateConfig(warmup_steps=3))
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    experience = _experience(learner, _answers())
    for number, (policy, critic) in enumerate([(1.0, 0.25), (0.75, 0.5), (0.5, 0.75), (0.25, 1.0)]):
        learner.iteration = number
        update(config, learner, experience, 8, processes)
        assert learner.policy_optimizer.param_groups[0]["lr"] == pytest.approx(policy * config.learning_rate)
        assert learner.critic_optimizer.param_groups[0]["lr"] == pytest.approx(critic * config.value_learning_rate)


def test_running_mean_hand_worked() -> None:
    param = nn.Parameter(torch.tensor([1.0]))
    average = Average({"w": param}, decay=0.75)
    for value, mean in ((2.0, 1.25), (4.0, 1.9375)):  # .75 * 1 + .25 * 2; .75 * 1.25 + .25 * 4
        param.data.fill_(value)
        average.update({"w": param})
        assert float(average.means["w"]) == mean


def test_the_running_mean_follows_the_policy_and_can_take_its_place(parts: Parts, processes: Processes) -> None:
    config = _config(parts, minibatch=4, ema=EmaConfig(decay=0.5, release="ema"))
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    before = _flat(learner)[0]
    update(config, learner, _experience(learner, _answers()), 8, processes)
    assert learner.average is not None
    mean, policy = torch.cat([m.flatten() for m in learner.average.means.values()]), _flat(learner)[0]
    assert float((mean - before).abs().max()) > 0
    assert float((mean - policy).abs().max()) > 0
    learner.take_average()
    assert torch.equal(_flat(learner)[0], mean)


def _texts() -> Texts:
    rng = torch.Generator().manual_seed(0)
    rows = [torch.randint(4, 40, (length,), generator=rng).tolist() for length in (3, 9, 5, 2, 7)]
    return Texts([Text(ids, [0, *[1] * (len(ids) - 1)]) for ids in rows], seed=0)


@pytest.mark.parametrize("micro_batch", [None, 1, 2])
def test_pretraining_gradient_is_that_of_the_mean_over_tokens(
    parts: Parts, processes: Processes, micro_batch: int | None
) -> None:
    """Against the mean of all learned tokens' nats, taken text by text without padding."""
    config = _config(parts, ptx=PtxConfig(coefficient=3.0, batch=4), micro_batch=micro_batch)
    learner, texts = _moved(Learner.create(config, tiny_llama(40).requires_grad_(False))), _texts()
    from tasks.randomness import draw

    nats, params = [], list(learner.policy.parameters().values())
    for index in draw(5, 4, 4, 0, "ptx"):
        ids = torch.tensor([texts.rows[index].ids])
        logp = learner.policy.adapted(input_ids=ids).logits[0, :-1].log_softmax(-1)
        nats.append(-logp.gather(1, ids[0, 1:, None])[:, 0])
    mean = torch.cat(nats).mean()
    wanted = torch.autograd.grad(3.0 * mean, params)
    assert text_loss(config, learner.policy.adapted, texts, 4, processes) == pytest.approx(float(mean), rel=1e-5)
    for param, gradient in zip(params, wanted, strict=True):
        torch.testing.assert_close(param.grad, gradient, atol=1e-6, rtol=1e-4)


def test_what_is_not_learned_has_no_part_in_the_pretraining_loss(parts: Parts, processes: Processes) -> None:
    config = _config(parts, ptx=PtxConfig(coefficient=1.0, batch=1))
    learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
    found = []
    for prompt in (7, 8):
        texts = Texts([Text([5, prompt, 9, 9], [0, 0, 0, 1])], seed=0)
        found.append(text_loss(config, learner.policy.adapted, texts, 0, processes))
    whole = Texts([Text([5, 7, 9, 9], [1, 1, 1, 1])], seed=0)
    found.append(text_loss(config, learner.policy.adapted, whole, 0, processes))
    logp = learner.policy.adapted(input_ids=torch.tensor([[5, 7, 9, 9]])).logits[0].log_softmax(-1)
    assert found[0] == pytest.approx(-float(logp[2, 9].detach()), rel=1e-5)
    assert found[2] == pytest.approx(-float((logp[0, 7] + logp[1, 9] + logp[2, 9]).detach()) / 3, rel=1e-5)


def test_the_pretraining_gradient_holds_the_texts_likelihood(parts: Parts, processes: Processes) -> None:
    """Pure reinforcement loses the texts, a large coefficient learns them; the cursor moves by the batch."""
    ends = []
    for coefficient in (0.0, 30.0):
        config = _config(parts, epochs=12, learning_rate=0.01, ptx=PtxConfig(coefficient=coefficient, batch=5))
        learner = Learner.create(config, tiny_llama(40).requires_grad_(False))
        texts = _texts()
        update(config, learner, _experience(learner, _answers()), 8, processes, texts if coefficient else None)
        assert learner.text_cursor == (60 if coefficient else 0)
        ends.append(text_loss(config, learner.policy.adapted, texts, 0, processes))
    assert ends[1] < ends[0] - 0.5


def test_a_sample_of_documents_is_seeded_and_uniform() -> None:
    assert sample(range(100), 5, "a") == sample(range(100), 5, "a") != sample(range(100), 5, "b")
    assert sample(range(3), 5, "a") == [0, 1, 2]
    counts = [0] * 10
    for seed in range(2000):
        for row in sample(range(10), 3, str(seed)):
            counts[row] += 1
    # 600 each, deviation sqrt(2000 * .3 * .7) = 20.5
    assert all(abs(count - 600) < 5 * 20.5 for count in counts)
