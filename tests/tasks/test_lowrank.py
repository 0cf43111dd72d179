"""The adapter's layer against PEFT's own forward and against its formula."""

from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor, nn

from tasks.lowrank import speed_up


class Net(nn.Module):
    """One layer, with or without a bias."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layer(x))


def adapted(inputs: int, outputs: int, rank: int, bias: bool = False, dropout: float = 0.0) -> tuple[PeftModel, Linear]:
    torch.manual_seed(0)
    config = LoraConfig(r=rank, lora_alpha=3 * rank, target_modules=["layer"], lora_dropout=dropout)
    model = cast(PeftModel, get_peft_model(Net(inputs, outputs, bias), config))  # type: ignore[arg-type]
    layer = next(module for module in model.modules() if isinstance(module, Linear))
    nn.init.normal_(layer.lora_B["default"].weight)
    return model, layer


def outcome(model: PeftModel, layer: Linear, x: Tensor) -> list[Tensor]:
    """Output, and gradients of a function of it that weighs every element differently."""
    x = x.clone().requires_grad_(True)
    weights = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    out = model(x)
    grads = torch.autograd.grad((out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum(), [x, *weights])
    return [out.detach(), *grads]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 6), st.booleans())
def test_output_and_gradients_are_those_of_peft(inputs: int, outputs: int, rank: int, rows: int, bias: bool) -> None:
    model, layer = adapted(inputs, outputs, rank, bias)
    model = model.double()
    x = torch.randn(rows, 3, inputs, dtype=torch.float64)
    expected = outcome(model, layer, x)
    speed_up(layer)
    assert "forward" in vars(layer)
    for found, wanted in zip(outcome(model, layer, x), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_gradients_agree_with_differences() -> None:
    model, layer = adapted(5, 4, 2, bias=True)
    model = model.double()
    speed_up(layer)
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, (x,))


def test_an_adapter_that_is_off_leaves_the_frozen_layer() -> None:
    model, layer = adapted(8, 6, 2)
    speed_up(layer)
    x = torch.randn(4, 8)
    layer._disable_adapters = True
    assert torch.equal(model(x), nn.functional.linear(x, layer.base_layer.weight))
    layer._disable_adapters = False
    assert not torch.equal(model(x), nn.functional.linear(x, layer.base_layer.weight))


def test_a_merged_adapter_is_not_added_twice() -> None:
    model, layer = adapted(8, 6, 2)
    speed_up(layer)
    x = torch.randn(4, 8)
    before = model(x)
    layer.merge()
    torch.testing.assert_close(model(x), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_peft_s_own_while_it_trains(training: bool) -> None:
    model, layer = adapted(64, 6, 2, dropout=0.5)
    speed_up(layer)
    model.train(training)
    x = torch.randn(4, 64)
    assert torch.equal(model(x), model(x)) is not training


def test_a_base_of_another_type_is_peft_s_own() -> None:
    model, layer = adapted(8, 6, 2)
    layer.base_layer.to(torch.bfloat16)
    x = torch.randn(4, 8, dtype=torch.bfloat16)
    expected = model(x)
    speed_up(layer)
    assert torch.equal(model(x), expected)
