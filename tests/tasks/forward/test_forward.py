"""Passes over whole texts against the models' own, forwards and backwards."""

from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tasks.forward import llama
from tasks.forward.functions import Norm, Rotate, TokenLogp
from tasks.forward.last import last_states

ROOM = 12


def _llama(kv_heads: int = 4, layers: int = 3) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=kv_heads, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def _texts(left: list[int], right: list[int]) -> tuple[Tensor, Tensor]:
    """Ids and attention of texts with so many pads at the left and at the right."""
    generator = torch.Generator().manual_seed(1)
    ids_BT = torch.randint(3, 60, (len(left), ROOM), generator=generator)
    column_T = torch.arange(ROOM)
    attention_BT = (column_T >= torch.tensor(left)[:, None]) & (column_T < ROOM - torch.tensor(right)[:, None])
    return ids_BT, attention_BT.long()


def _own_states(model: Any, ids_BT: Tensor, attention_BT: Tensor) -> Tensor:
    position_BT = (attention_BT.cumsum(1) - 1).clamp(min=0)
    output = model.model(input_ids=ids_BT, attention_mask=attention_BT, position_ids=position_BT, use_cache=False)
    return cast(Tensor, output.last_hidden_state)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("first", [0, 5, 11])
def test_columns_have_the_models_own_states(kv_heads: int, first: int) -> None:
    model = _llama(kv_heads)
    ids_BT, attention_BT = _texts([0, 3, 5], [0, 1, 0])
    found = llama.states(model, ids_BT, slice(first, None), attention_BT)
    real = attention_BT[:, first:].bool()
    assert torch.allclose(found[real], _own_states(model, ids_BT, attention_BT)[:, first:][real], atol=2e-5)
    assert found.isfinite().all()


@pytest.mark.parametrize("first", [0, 4])
def test_no_mask_is_needed_without_padding_at_the_left(first: int) -> None:
    model = _llama()
    ids_BT, attention_BT = _texts([0, 0], [0, 4])
    found = llama.states(model, ids_BT, slice(first, None))
    real = attention_BT[:, first:].bool()
    assert torch.allclose(found[real], _own_states(model, ids_BT, attention_BT)[:, first:][real], atol=2e-5)


def test_one_column_of_each_text() -> None:
    model = _llama(2)
    ids_BT, attention_BT = _texts([0, 2, 0], [3, 0, 8])
    column_B = attention_BT.sum(1) - 1 + torch.tensor([0, 2, 0])
    own = _own_states(model, ids_BT, attention_BT)[torch.arange(3), column_B]
    assert torch.allclose(llama.states(model, ids_BT, column_B, attention_BT)[:, 0], own, atol=2e-5)
    ids_BT, attention_BT = _texts([0, 0, 0], [3, 0, 8])
    length_B = attention_BT.sum(1)
    own = _own_states(model, ids_BT, attention_BT)[torch.arange(3), length_B - 1]
    assert torch.allclose(last_states(model.model, ids_BT, length_B), own, atol=2e-5)


def test_one_layer_is_a_last_layer() -> None:
    model = _llama(layers=1)
    ids_BT, attention_BT = _texts([0, 3], [0, 0])
    own = _own_states(model, ids_BT, attention_BT)[:, 6:]
    assert torch.allclose(llama.states(model, ids_BT, slice(6, None), attention_BT), own, atol=2e-5)


def test_an_adapter_gets_the_gradients_of_the_models_own_pass() -> None:
    adapted = get_peft_model(_llama(2), LoraConfig(r=3, target_modules="all-linear", init_lora_weights=False)).eval()
    ids_BT, attention_BT = _texts([0, 3, 5], [0, 1, 0])
    real = attention_BT[:, 5:, None]
    inner = adapted.get_base_model()

    def gradients(states_BKH: Tensor) -> dict[str, Tensor]:
        adapted.zero_grad()
        (inner.lm_head(states_BKH) * real).square().sum().backward()
        return {name: param.grad.clone() for name, param in adapted.named_parameters() if param.grad is not None}

    own = gradients(_own_states(inner, ids_BT, attention_BT)[:, 5:])
    found = gradients(llama.states(inner, ids_BT, slice(5, None), attention_BT))
    assert set(found) == set(own)
    assert len(own) == 3 * 7 * 2
    for name, grad in own.items():
        assert float((found[name] - grad).norm()) <= 1e-4 * float(grad.norm()), name


def test_whole_training_reaches_norms_and_embeddings() -> None:
    model = _llama().requires_grad_(True)
    ids_BT, attention_BT = _texts([0, 3], [0, 0])

    def gradients(states_BKH: Tensor) -> dict[str, Tensor]:
        model.zero_grad()
        model.lm_head(states_BKH).square().sum().backward()
        return {name: param.grad.clone() for name, param in model.named_parameters() if param.grad is not None}

    own = gradients(_own_states(model, ids_BT, attention_BT)[:, 4:])
    found = gradients(llama.states(model, ids_BT, slice(4, None), attention_BT))
    assert set(found) == set(own)
    for name, grad in own.items():
        assert float((found[name] - grad).norm()) <= 1e-4 * float(grad.norm()) + 1e-5, name


def test_other_models_and_settings_keep_their_own_pass() -> None:
    class Other(LlamaForCausalLM):
        pass

    model = _llama()
    assert llama.fits(model)
    assert llama.fits(model.model)
    assert not llama.fits(Other(model.config).eval())
    assert not llama.fits(GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=9)).eval())
    assert not llama.fits(_llama().train())
    eager = _llama()
    eager.set_attn_implementation("eager")
    assert not llama.fits(eager)
    frugal = _llama()
    frugal.gradient_checkpointing_enable()
    assert not llama.fits(frugal)


def test_last_states_of_a_model_of_another_kind() -> None:
    torch.manual_seed(0)
    trunk = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=60)).eval().transformer
    ids_BT, attention_BT = _texts([0, 0], [0, 4])
    own = trunk(input_ids=ids_BT).last_hidden_state
    assert torch.equal(last_states(trunk, ids_BT, attention_BT.sum(1)), torch.stack([own[0, 11], own[1, 7]]))


def test_norm_and_rotation_have_exact_gradients() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, dtype=torch.float64)
    own = nn.RMSNorm(6, eps=1e-5, dtype=torch.float64)
    own.weight.data = weight
    assert torch.allclose(Norm.apply(x, weight, 1e-5), own(x))
    assert torch.autograd.gradcheck(lambda given: Norm.apply(given, weight, 1e-5), (x,))
    heads = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    angle = torch.randn(1, 3, 1, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda given: Rotate.apply(given, angle.cos(), angle.sin()), (heads,))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 3.0, 60.0]))
def test_log_probabilities_and_entropy_are_the_plain_ones(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logit_BTV = (torch.randn(2, 3, 17, generator=generator) * scale).requires_grad_(True)
    token_BT = torch.randint(0, 17, (2, 3), generator=generator)
    weight_BT = torch.randn(2, 3, generator=generator)
    plain = torch.log_softmax(logit_BTV.double(), -1)
    logp_BT, spread_BT = TokenLogp.apply(logit_BTV, token_BT, True)
    own = plain.gather(-1, token_BT[..., None])[..., 0]
    assert torch.allclose(logp_BT.double(), own, rtol=1e-5, atol=1e-5)
    assert torch.allclose(spread_BT.double(), -(plain.exp() * plain).sum(-1), atol=1e-4)
    (found,) = torch.autograd.grad((logp_BT * weight_BT).sum(), logit_BTV)
    (wanted,) = torch.autograd.grad((own * weight_BT).sum(), logit_BTV)
    assert torch.allclose(found, wanted.float(), atol=1e-5)
    assert not spread_BT.requires_grad
