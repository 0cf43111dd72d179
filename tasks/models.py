"""Opening models of earlier stages: float32, evaluation mode, no dropout, from safetensors only."""

from pathlib import Path
from typing import cast

import torch
from peft import PeftModel, PeftType
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from tasks.failures import BadData

logging.disable_progress_bar()  # progress is shown by the stage, and not while a file is read


def load_base(folder: Path) -> PreTrainedModel:
    """A causal language model with trainable weights, in evaluation mode."""
    expect_files(folder, "config.json", "*.safetensors")
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    return switch_off_dropout(model.eval())


def load_chat_model(base: Path, *adapters: Path) -> PreTrainedModel:
    """Base model with LoRA adapters merged into its weights, in the order given. All weights are frozen.

    A folder among ``adapters`` that holds a whole model, as full fine-tuning writes, takes the place of what is before.
    """
    whole = [folder for folder in adapters if (folder / "config.json").is_file()]
    after = adapters[adapters.index(whole[-1]) + 1 :] if whole else adapters
    model: PreTrainedModel = load_base(whole[-1] if whole else base)
    for adapter in after:
        # without this check PEFT would fall back to a pickled file
        expect_files(adapter, "adapter_config.json", "adapter_model.safetensors")
        model = PeftModel.from_pretrained(model, adapter, torch_device="cpu").merge_and_unload()
    return freeze(model.eval())


def expect_files(folder: Path, *patterns: str) -> None:
    """Raises BadData naming the first pattern that no file of a model's folder matches."""
    for pattern in patterns:
        if not any(folder.glob(pattern)):
            raise BadData(f"{folder.name}: no {pattern} in the model's folder")


def freeze(model: PreTrainedModel) -> PreTrainedModel:
    for param in model.parameters():
        param.requires_grad_(False)
    return model


def switch_off_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """Training mode becomes deterministic too; the config still says what the model was made with."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            setattr(module, "attention_dropout", 0.0)  # noqa: B010 - modules declare it as anything
    return model


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """The model inside PEFT's wrapper, whose layers are LoRA's own modules; other adapters change the pass itself."""
    if isinstance(model, PeftModel) and model.peft_type == PeftType.LORA:
        model = model.get_base_model()
    return cast(PreTrainedModel, model)


def pad_batch(ids: list[list[int]], pad_id: int, side: str = "right") -> tuple[Tensor, Tensor]:
    """Rows of different length as ``ids_BT`` and ``mask_BT`` (1 on real tokens), both int64."""
    width = max((len(row) for row in ids), default=0)
    ids_BT = torch.full((len(ids), width), pad_id, dtype=torch.long)
    mask_BT = torch.zeros((len(ids), width), dtype=torch.long)
    for index, row in enumerate(ids):
        real = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids_BT[index, real] = torch.tensor(row, dtype=torch.long)
        mask_BT[index, real] = 1
    return ids_BT, mask_BT


def length_batches(ids: list[list[int]], batch: int) -> list[list[int]]:
    """Indices of rows in batches of like length, longest first: little padding, and memory runs out early."""
    order = sorted(range(len(ids)), key=lambda index: (-len(ids[index]), index))
    return [order[start : start + batch] for start in range(0, len(order), batch)]
