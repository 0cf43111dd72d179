"""The reward model: the fine-tuned model's trunk with a scalar head, and its scores with gradients."""

import copy
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.reward import RewardConfig
from tasks.failures import BadConfig
from tasks.models import load_chat_model
from tasks.scoring import MATCH_SCALE, READOUT, SCALE, add_match


def build_reward_model(
    base: Path, finetuned: Path, tokenizer: PreTrainedTokenizerBase, readout: str = "mean"
) -> PreTrainedModel:
    """Sequence classifier with one label on the trunk of base + fine-tuned adapter; float32, no dropout.

    The head starts at zero: all scores are equal and the first pair loss is ln 2, unless the readout is "match".
    All weights are trainable. Raises BadConfig when transformers has no sequence classification for this architecture.
    """
    language_model = load_chat_model(base, finetuned)
    config = copy.deepcopy(language_model.config)
    config.num_labels = 1
    config.pad_token_id = tokenizer.pad_token_id
    config.name_or_path = ""
    setattr(config, READOUT, readout)
    if readout == "match":
        setattr(config, SCALE, MATCH_SCALE)
    for name in config.to_dict():
        if name.endswith(("dropout", "pdrop")):
            setattr(config, name, 0.0)
    try:
        model = AutoModelForSequenceClassification.from_config(config).to(torch.float32)
    except ValueError as error:
        raise BadConfig(f"pretrain.base: no reward head for model type {config.model_type!r}: {error}") from error
    if not isinstance(getattr(model, "score", None), nn.Linear):
        raise BadConfig(f"pretrain.base: the reward model of type {config.model_type!r} has no linear `score` head")
    model.base_model.load_state_dict(language_model.base_model.state_dict())
    nn.init.zeros_(model.score.weight)
    if model.score.bias is not None:
        nn.init.zeros_(model.score.bias)
    if readout == "match":
        add_match(model)
    return model.requires_grad_(True)


def head(model: nn.Module) -> nn.Module:
    """The linear layer from the hidden state to the score."""
    return cast(nn.Module, model.score)


def make_trainable(model: PreTrainedModel, config: RewardConfig) -> tuple[nn.Module, int]:
    """The module to train and its number of trainable weights: the model itself, or with a LoRA adapter and its head.

    Merging an adapter leaves weights frozen, and a "full" reward model was once a linear probe for that reason:
    the count is checked. Raises RuntimeError when it is not what the method means.
    """
    total = sum(weight.numel() for weight in model.parameters())
    scalar = sum(weight.numel() for weight in head(model).parameters())
    trained: nn.Module = model
    if config.method == "lora":
        lora = config.lora
        trained = get_peft_model(
            model,
            LoraConfig(
                task_type=TaskType.SEQ_CLS,
                r=lora.rank,
                lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT only divides it by r
                lora_dropout=lora.dropout,
                target_modules=lora.targets,
                modules_to_save=["match"] if config.readout == "match" else None,
            ),
        )
    count = sum(weight.numel() for weight in trained.parameters() if weight.requires_grad)
    sound = count == total if config.method == "full" else scalar < count < total
    if not sound:
        raise RuntimeError(f"reward.method={config.method}: {count} of {total} weights are trainable (head {scalar})")
    return trained, count
