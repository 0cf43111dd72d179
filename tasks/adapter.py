"""LoRA adapters: put one on a model, write it as a PEFT folder that names its base by digest."""

import json
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from configs.schema.training import LoraSettings
from tasks.inputs import Inputs

ADAPTER = "default"


def new_adapter(model: PreTrainedModel, lora: LoraSettings, seed: int) -> PeftModel:
    """A fresh adapter, drawn with the seed; the model's own weights become frozen. At first it changes nothing:
    the update is B·A and B is zero (Hu et al. 2021, section 4.1)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return cast(PeftModel, get_peft_model(model, lora_config(model, lora)))


def lora_config(model: nn.Module, lora: LoraSettings) -> LoraConfig:
    """PEFT's own settings of an adapter."""
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT declares int and divides
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        task_type="CAUSAL_LM",
        fan_in_fan_out=_has_conv1d(model),
    )


def save_adapter(model: PeftModel, folder: Path, base: str) -> None:
    """Write adapter_config.json and adapter_model.safetensors.

    Not PEFT's own ``save_pretrained``: that writes the set of target modules in hash order, which differs between
    processes, a path of this machine, and a model card.
    """
    tensors = get_peft_model_state_dict(model)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(plain, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = model.peft_config[ADAPTER].to_dict()
    config |= {"base_model_name_or_path": base, "inference_mode": True}
    ordered = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    text = json.dumps(ordered, indent=2, sort_keys=True, default=lambda value: getattr(value, "value", str(value)))
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def start_name(inputs: Inputs) -> str:
    """The adapter's base by digest: base model, plus the fine-tuned adapter that is merged into it."""
    digests = [inputs.refs[name].digest for name in ("base", "finetuned") if name in inputs.refs]
    return "+".join(f"sha256:{digest}" for digest in digests) or "base+finetuned"


def _has_conv1d(model: nn.Module) -> bool:
    """GPT-2 stores its matrices transposed; PEFT has to know."""
    return any(type(module).__name__ == "Conv1D" for module in model.modules())
