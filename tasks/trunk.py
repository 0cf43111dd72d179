"""One frozen model with several LoRA adapters on it, of which a forward pass uses one or none."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from configs.schema.training import LoraSettings
from tasks.adapter import ADAPTER, lora_config, new_adapter
from tasks.lowrank import speed_up

Model = PreTrainedModel | PeftModel


class Trunk:
    """The weights that policy, reference, critic and reward model share.

    Outside ``use`` a pass goes through the adapter called ``default``, the policy's, when there is one. PEFT's own
    switches (``set_adapter``, ``disable_adapter``) would also change which adapters have gradients, so that a critic
    stopped learning when the reference had been read; ``use`` changes nothing but the next pass.
    """

    def __init__(self, start: PreTrainedModel) -> None:
        """``start``: frozen, in evaluation mode; it becomes part of the trunk."""
        self.start = start
        self._peft: PeftModel | None = None
        self._layers: list[LoraLayer] = []

    @property
    def model(self) -> Model:
        """What to call: the start model until an adapter is on it, then PEFT's wrapper."""
        return self.start if self._peft is None else self._peft

    @property
    def adapters(self) -> list[str]:
        """Names of the adapters that are on it."""
        return [] if self._peft is None else list(self._peft.peft_config)

    def add(self, name: str, lora: LoraSettings, seed: int) -> dict[str, nn.Parameter]:
        """Put a fresh, trainable adapter on; returns its weights by name."""
        if self._peft is None and name == ADAPTER:
            self._peft = new_adapter(self.start, lora, seed)
        else:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                self.attach(name, lora_config(self.start, lora))
        assert self._peft is not None
        self._peft.eval()  # dropout in rollout, reference or update would make ratios of one network against another
        self._look_up()
        return self.parameters(name)

    def attach(self, name: str, settings: LoraConfig) -> None:
        """Put an adapter with PEFT's own settings on."""
        if self._peft is None:
            self._peft = PeftModel(self.start, settings, adapter_name=name)
        else:
            resolved = cast(LoraConfig, next(iter(self._peft.peft_config.values()))).target_modules
            if settings.target_modules == "all-linear" and not isinstance(resolved, str):
                settings.target_modules = resolved  # PEFT would find the first adapter's own matrices, too
            self._peft.add_adapter(name, settings)
        for param in self.parameters(name).values():
            param.requires_grad_(True)
        self._peft.eval()
        self._look_up()

    def copy(self, name: str, new: str) -> dict[str, nn.Parameter]:
        """Put a trainable copy of the adapter ``name`` on under another name; returns its weights."""
        assert self._peft is not None
        self.attach(new, copy.deepcopy(cast(LoraConfig, self._peft.peft_config[name])))
        sources, copied = self.parameters(name), self.parameters(new)
        with torch.no_grad():
            for key, param in copied.items():
                param.copy_(sources[key.replace(f".{new}.", f".{name}.")])
        return copied

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """The weights of one adapter by name."""
        return {key: param for key, param in self.model.named_parameters() if f".{name}." in key and "lora_" in key}

    @property
    def layers(self) -> dict[str, LoraLayer]:
        """Layers that have an adapter, by their name in the start model."""
        return {name: layer for name, layer in self.start.named_modules() if isinstance(layer, LoraLayer)}

    def _look_up(self) -> None:
        self._layers = list(self.layers.values())
        for layer in self._layers:
            speed_up(layer)
        self.turn(ADAPTER if ADAPTER in self.adapters else None)

    @contextmanager
    def use(self, name: str | None) -> Iterator[Model]:
        """Inside, passes go through the adapter ``name``, or through the start model alone."""
        self.turn(name)
        try:
            yield self.model
        finally:
            self.turn(ADAPTER if ADAPTER in self.adapters else None)

    def turn(self, name: str | None) -> None:
        """Let the next passes go through an adapter, or none; for use inside ``use``, which turns back."""
        for layer in self._layers:
            layer._disable_adapters = name is None
            if name is not None:
                layer._active_adapter = [name]
