"""The policy: a LoRA adapter on the frozen fine-tuned model, which without the adapter is the reference."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from peft import PeftModel
from peft.tuners.lora import Linear, LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from configs.schema.training import LoraSettings
from tasks.adapter import ADAPTER, new_adapter, save_adapter


class Policy:
    """Three views of one set of frozen weights.

    ``adapted`` is what is trained and what gives every log-probability. Inside ``reference()`` it is the
    fine-tuned start model. ``merged`` is a plain model with W + scale·BA written into its matrices, for sampling:
    rollouts run on it at full speed, in float32, where merging moves a log-probability by 1e-5 nats. Matrices
    that no adapter touches share their memory with ``adapted``.
    """

    def __init__(self, start: PreTrainedModel, lora: LoraSettings, seed: int) -> None:
        """``start``: base and fine-tuned adapter merged, frozen; it becomes part of the policy."""
        self.merged = copy.deepcopy(start).eval()
        # eval: dropout in rollout, reference or update would make ratios of one network against another
        self.adapted = new_adapter(start, lora, seed).eval()
        trunk = self.adapted.get_base_model()
        self._layers = [
            (cast(Linear, layer), self.merged.get_submodule(name))
            for name, layer in trunk.named_modules()
            if isinstance(layer, LoraLayer)
        ]
        self._share_untouched(trunk)
        self.refresh()

    def _share_untouched(self, trunk: nn.Module) -> None:
        own = {id(plain.weight) for _, plain in self._layers}
        sources = dict(trunk.named_parameters(remove_duplicate=False))
        for name, param in self.merged.named_parameters():
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

    @contextmanager
    def reference(self) -> Iterator[PeftModel]:
        """The fine-tuned model: the adapter is off inside."""
        with self.adapted.disable_adapter():
            yield self.adapted

    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return {name: param for name, param in self.adapted.named_parameters() if param.requires_grad}

    def save(self, folder: Path, start_model: str) -> None:
        """Write a PEFT folder that names its start model by digest."""
        save_adapter(self.adapted, folder, start_model)


def load_parameters(params: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    """Copy checkpoint tensors into parameters of the same names; both must name the same ones."""
    if set(params) != set(tensors):
        odd = sorted(set(params) ^ set(tensors))
        raise KeyError(f"the checkpoint and the model disagree on {len(odd)} parameters, the first is {odd[0]}")
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(tensors[name])
