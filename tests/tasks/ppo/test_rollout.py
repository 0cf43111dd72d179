"""The forward pass that PPO trusts: alignment, padding, temperature, dropout."""

import math

import pytest
import torch
from ppo_parts import ANSWERS, PROMPTS, tiny_gpt2, tiny_llama
from torch import Tensor, nn
from transformers import PreTrainedModel

from configs.schema.training import LoraSettings
from tasks.ppo.policy import Policy
from tasks.ppo.rollout import chunks, lay_out, read, read_all
from tasks.randomness import draw, generator, permutation
from tasks.sampling import generate


def _alone(model: nn.Module, prompt: list[int], answer: list[int], temperature: float) -> Tensor:
    """Log-probabilities of one answer, unpadded, in the plainest way."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0] / temperature
    logp = logits.log_softmax(-1)
    return torch.stack([logp[len(prompt) + t - 1, token] for t, token in enumerate(answer)])


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_padding_changes_nothing(build, temperature: float) -> None:
    """logits[t-1] score token t, with left padding, also under learned positions."""
    model = build(40)
    reading = read_all(model, lay_out(PROMPTS, ANSWERS, pad_id=1), temperature, size=2)
    for row, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        torch.testing.assert_close(
            reading.logp_BT[row, : len(answer)], _alone(model, prompt, answer, temperature), atol=1e-5, rtol=0
        )
        assert not reading.logp_BT[row, len(answer) :].any()


def test_gpt2_without_position_ids_would_be_nats_off() -> None:
    """The test above can fail: the same call without position ids."""

    class Blind(nn.Module):
        def __init__(self, model: PreTrainedModel) -> None:
            super().__init__()
            self.model = model

        def forward(self, position_ids: Tensor, **named: object) -> object:
            return self.model(**named)

    model = tiny_gpt2(40)
    answers = lay_out(PROMPTS, ANSWERS, pad_id=1)
    right, wrong = read_all(model, answers, 1.0, None), read_all(Blind(model), answers, 1.0, None)
    assert float((right.logp_BT - wrong.logp_BT).abs().max()) > 0.5


def test_pad_that_is_also_the_end_token() -> None:
    """ids [5, 6, E, E, E]: the first E is the answer's, by length, and the rest is padding."""
    end = 1
    answers = lay_out([[5], [5]], [[6, end], [6, 7, 8, 9]], pad_id=end)
    assert answers.ids_BL[0].tolist() == [5, 6, end, end, end]
    assert answers.mask_BT[0].tolist() == [True, True, False, False]
    assert answers.attention_BL[0].tolist() == [1, 1, 1, 0, 0]


def test_an_empty_answer() -> None:
    answers = lay_out([[5, 6], [7]], [[], [8]], pad_id=0)
    assert answers.mask_BT.tolist() == [[False], [True]]
    assert read_all(tiny_llama(40), answers, 1.0, None).logp_BT[0].tolist() == [0.0]
    assert answers.rows([0]).width == 0
    assert read(tiny_llama(40), answers.rows([0]), 1.0).logp_BT.shape == (1, 0)


def test_rows_are_cut_to_their_longest() -> None:
    answers = lay_out(PROMPTS, ANSWERS, pad_id=0)
    part = answers.rows([1, 2])
    assert part.ids_BL.tolist() == [[0, 11, 12, 22, 23, 24, 25, 26], [13, 14, 15, 27, 0, 0, 0, 0]]
    assert (part.prompt_width, part.width) == (3, 5)


def test_entropy_is_masked_and_exact() -> None:
    model = tiny_llama(40)
    answers = lay_out(PROMPTS, ANSWERS, pad_id=0)
    entropy_BT = read_all(model, answers, 0.7, None, entropy=True).entropy_BT
    assert entropy_BT is not None
    assert not entropy_BT[~answers.mask_BT].any()
    assert bool((entropy_BT >= 0).all())
    with torch.no_grad():
        logits = model(torch.tensor([PROMPTS[0] + ANSWERS[0]])).logits[0, len(PROMPTS[0]) - 1] / 0.7
    exact = torch.distributions.Categorical(logits=logits).entropy()
    assert float(entropy_BT[0, 0]) == pytest.approx(float(exact), abs=1e-5)


def test_features_are_read_before_the_action() -> None:
    """V(s_t) may not see token t: another token t leaves feature t alone and changes feature t+1."""
    model = tiny_llama(40)
    one, other = (
        read_all(model, lay_out([[5, 6]], [[7, token, 9]], 0), 1.0, None, features=True).feature_BTH
        for token in (8, 30)
    )
    assert one is not None
    assert other is not None
    torch.testing.assert_close(one[:, :2], other[:, :2], atol=1e-6, rtol=0)
    assert float((one[:, 2] - other[:, 2]).abs().max()) > 1e-2


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampler_and_training_pass_agree(build, temperature: float) -> None:
    """The share of a first token among many samples is what the forward pass says, at the same temperature."""
    model = build(12)
    sampled = generate(
        model,
        [[5, 6, 7]] * 4000,
        max_new_tokens=1,
        temperature=temperature,
        end_ids=[1],
        pad_id=0,
        generator=torch.Generator().manual_seed(1),
    )
    every = lay_out([[5, 6, 7]] * 12, [[token] for token in range(12)], 0)
    p_V = read_all(model, every, temperature, None).logp_BT[:, 0].exp()
    counts_V = torch.bincount(torch.tensor([ids[0] for ids in sampled]), minlength=12) / 4000
    assert float(p_V.sum()) == pytest.approx(1, abs=1e-5)
    # nothing is cut off by top-p or top-k, and the shares agree within 5 standard errors
    assert bool(((counts_V - p_V).abs() <= 5 * (p_V * (1 - p_V) / 4000).sqrt() + 1e-4).all())


def test_forgetting_the_temperature_costs() -> None:
    model = tiny_llama(40)
    answers = lay_out(PROMPTS, ANSWERS, 0)
    cold, warm = (read_all(model, answers, temperature, None).logp_BT for temperature in (0.7, 1.0))
    assert float((cold - warm).abs().max()) > 0.1


def test_dropout_is_off_everywhere() -> None:
    """A model whose config asks for dropout, in the policy's own passes: ratios are exactly 1."""
    policy = Policy(tiny_gpt2(40, dropout=0.1).train().requires_grad_(False), LoraSettings(rank=2), seed=0)
    answers = lay_out(PROMPTS, ANSWERS, 0)
    first, second = (read(policy.adapted, answers, 1.0).logp_BT for _ in range(2))
    assert torch.equal(first, second)
    assert not any(module.training for module in [*policy.adapted.modules(), *policy.merged.modules()])


def test_no_rows_at_all() -> None:
    answers = lay_out([], [], 0)
    reading = read_all(tiny_llama(40), answers, 1.0, None, entropy=True, features=True)
    assert reading.logp_BT.shape == (0, 0)


def test_chunks_cover_everything_once() -> None:
    assert [list(piece) for piece in chunks(5, 2)] == [[0, 1], [2, 3], [4]]
    assert [list(piece) for piece in chunks(3, None)] == [[0, 1, 2]]
    assert chunks(0, 4) == []


def test_random_numbers_depend_on_the_name_alone() -> None:
    one = torch.rand(3, generator=generator(0, "rollout", 4, 0))
    generator(0, "other").seed()
    assert torch.equal(one, torch.rand(3, generator=generator(0, "rollout", 4, 0)))
    assert not torch.equal(one, torch.rand(3, generator=generator(0, "rollout", 4, 1)))
    assert not torch.equal(one, torch.rand(3, generator=generator(1, "rollout", 4, 0)))
    assert sorted(permutation(9, 0, "x")) == list(range(9))


def test_the_prompt_stream_sees_each_prompt_once_an_epoch() -> None:
    stream = [index for cursor in range(0, 30, 6) for index in draw(10, cursor, 6, seed=3)]
    assert stream == draw(10, 0, 30, seed=3)
    for epoch in range(3):
        assert sorted(stream[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert math.prod(a == b for a, b in zip(stream[:10], stream[10:20], strict=True)) == 0
