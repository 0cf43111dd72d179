"""The policy and its reference: an adapter on the frozen start model, or a whole model beside a frozen copy."""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, cast

import torch
from peft import PeftModel
from peft.tuners.lora import Linear
from torch import Tensor, nn
from transformers import PreTrainedModel

from configs.schema.training import LoraSettings
from tasks.adapter import ADAPTER, save_adapter
from tasks.trunk import Model, Trunk


class AnyPolicy(Protocol):
    """What the rest of PPO asks of a policy.

    ``adapted``: what is trained, and gives every log-probability. ``merged``: what answers are sampled from.
    ``trunk``: the frozen start model, on which critic and reward model may put adapters of their own.
    """

    trunk: Trunk

    @property
    def adapted(self) -> Model: ...

    @property
    def merged(self) -> Model: ...

    def refresh(self) -> None:
        """Bring ``merged`` to the weights of this moment."""

    def reference(self) -> AbstractContextManager[Model]:
        """The start model."""

    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""

    def save(self, folder: Path, start_model: str) -> None:
        """Write the artifact's model files; an adapter names its start model by digest."""


class Policy:
    """Three views of one set of frozen weights.

    ``adapted`` is what is trained and what gives every log-probability. Inside ``reference()`` it is the
    fine-tuned start model. ``merged`` is a plain model with W + scale·BA written into its matrices, for sampling:
    rollouts run on it at full speed, in float32, where merging moves a log-probability by 1e-5 nats. Matrices
    that no adapter touches share their memory with ``adapted``. In bfloat16 a merge moves it by .1 nats, so there, and
    where memory is short (``merge=False``), ``merged`` is ``adapted`` itself.
    """

    def __init__(self, start: PreTrainedModel, lora: LoraSettings, seed: int, merge: bool = True) -> None:
        """``start``: base and fine-tuned adapter merged, frozen; it becomes part of the policy."""
        exact = all(param.dtype in (torch.float32, torch.float64) for param in start.parameters())
        plain = copy.deepcopy(start).eval() if merge and exact else None
        self.trunk = Trunk(start)
        self.trunk.add(ADAPTER, lora, seed)
        self.adapted = cast(PeftModel, self.trunk.model)
        self.merged: Model = self.adapted if plain is None else plain
        self._layers: list[tuple[Linear, nn.Module]] = []
        if plain is not None:
            self._layers = [(cast(Linear, it), plain.get_submodule(name)) for name, it in self.trunk.layers.items()]
            self._share_untouched(plain)
        self.refresh()

    def _share_untouched(self, plain: PreTrainedModel) -> None:
        own = {id(module.weight) for _, module in self._layers}
        sources = dict(self.trunk.start.named_parameters(remove_duplicate=False))
        for name, param in plain.named_parameters():
            param.requires_grad_(False)
            if id(param) not in own and name in sources:
                param.data = sources[name].data

    @torch.no_grad()
    def refresh(self) -> None:
        """Write the adapter of this moment into ``merged``. The sum starts from the frozen weight each time:
        merging and unmerging in place would let rounding errors pile up in it."""
        for layer, plain in self._layers:
            weight = cast(nn.Linear, layer.get_base_layer()).weight
            cast(nn.Linear, plain).weight.copy_(weight + layer.get_delta_weight(ADAPTER))

    def reference(self) -> AbstractContextManager[Model]:
        """The fine-tuned model: every adapter is off inside."""
        return self.trunk.use(None)

    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return self.trunk.parameters(ADAPTER)

    def save(self, folder: Path, start_model: str) -> None:
        """Write a PEFT folder that names its start model by digest."""
        save_adapter(self.adapted, folder, start_model)


class WholePolicy:
    """All weights are trained; the reference is a second, frozen copy, and answers are sampled from the policy."""

    def __init__(self, start: PreTrainedModel) -> None:
        """``start``: base and fine-tuned adapter merged; it becomes the policy."""
        self.trunk = Trunk(copy.deepcopy(start).eval().requires_grad_(False))
        self.adapted: Model = start.eval().requires_grad_(True)
        self.merged: Model = self.adapted

    def refresh(self) -> None:
        """Nothing to do: answers are sampled from the weights that are trained."""

    @contextmanager
    def reference(self) -> Iterator[Model]:
        """The frozen copy, without the adapters of critic and reward model."""
        with self.trunk.use(None) as model:
            yield model

    def parameters(self) -> dict[str, nn.Parameter]:
        """Every weight, by name; tied ones once."""
        return dict(self.adapted.named_parameters())

    def save(self, folder: Path, start_model: str) -> None:
        """Write a whole model: config.json and model.safetensors."""
        cast(PreTrainedModel, self.adapted).save_pretrained(folder, safe_serialization=True)


def load_parameters(params: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    """Copy checkpoint tensors into parameters of the same names; both must name the same ones."""
    if set(params) != set(tensors):
        odd = sorted(set(params) ^ set(tensors))
        raise KeyError(f"the checkpoint and the model disagree on {len(odd)} parameters, the first is {odd[0]}")
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(tensors[name])
