"""The policy: a LoRA adapter on the frozen fine-tuned model, which without the adapter is the reference."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import Linear, LoraLayer
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from configs.schema.training import LoraSettings

ADAPTER = "default"


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
        settings = LoraConfig(
            r=lora.rank,
            lora_alpha=cast(int, lora.alpha),  # any number; annotated too narrowly
            lora_dropout=lora.dropout,
            target_modules=lora.targets,
            task_type="CAUSAL_LM",
            fan_in_fan_out=_has_conv1d(start),
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            # eval: dropout in rollout, reference or update would make ratios of one network against another
            self.adapted = cast(PeftModel, get_peft_model(start, settings)).eval()
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
        """Write a PEFT folder that names its start model by digest.

        Not PEFT's own ``save_pretrained``: that writes the set of target modules in hash order, which differs
        between processes, and a model card.
        """
        tensors = get_peft_model_state_dict(self.adapted)
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        config = self.adapted.peft_config[ADAPTER].to_dict()
        config |= {"base_model_name_or_path": start_model, "inference_mode": True}
        ordered = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
        text = json.dumps(ordered, indent=2, sort_keys=True, default=_enum_value)
        (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def _has_conv1d(model: nn.Module) -> bool:
    """GPT-2 stores its matrices transposed; PEFT has to know."""
    return any(type(module).__name__ == "Conv1D" for module in model.modules())


def _enum_value(value: object) -> object:
    return getattr(value, "value", str(value))


def load_parameters(params: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    """Copy checkpoint tensors into parameters of the same names; both must name the same ones."""
    if set(params) != set(tensors):
        odd = sorted(set(params) ^ set(tensors))
        raise KeyError(f"the checkpoint and the model disagree on {len(odd)} parameters, the first is {odd[0]}")
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(tensors[name])
