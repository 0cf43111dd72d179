"""The network that is trained: a trunk with an adapter or all its weights, its heads, and its tokenizer."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.reward import RewardConfig
from tasks.adapter import new_adapter
from tasks.artifacts.digest import digest_of
from tasks.base_model import resolve_base
from tasks.chat import add_chat, load_tokenizer
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import freeze, load_chat_model, switch_off_dropout
from tasks.reward_network import MATCH_SCALE, Reading, RewardNetwork, match_head, score_head, score_of, trunk_of

SETTING = "reward.base"
SEED_STEP = 1_000_003  # between the members of an ensemble: far enough that seeds 0, 1, 2 … share no member


@dataclass(frozen=True)
class Built:
    """What is trained. One of ``whole``, a sequence classifier, and ``adapted``, a language model with an adapter,
    owns the trunk.
    """

    model: RewardNetwork
    whole: PreTrainedModel | None = None
    adapted: PeftModel | None = None

    @property
    def trainable(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}


def prepare_tokenizer(config: RewardConfig, inputs: Inputs, live: Live) -> tuple[PreTrainedTokenizerBase, Path]:
    """The tokenizer that answers are read with, and its folder: the fine-tuned model's, or a separate base's own with
    the chat tokens that it lacks.
    """
    if config.base is None:
        folder = inputs.folders["finetuned"]
        return load_tokenizer(folder), folder
    tokenizer = resolve_base(config.base, SETTING, config.revision).load_tokenizer()
    add_chat(tokenizer)
    folder = live.work / "tokenizer"
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder), folder


def build(config: RewardConfig, inputs: Inputs, tokenizer: PreTrainedTokenizerBase, seed: int) -> Built:
    """The model before training: float32, no dropout but the adapter's own; heads drawn with the seed.

    Raises BadConfig when the base has no sequence classification, RuntimeError when what is trainable is not what
    the method means: merging an adapter leaves weights frozen, and a "full" model was once a linear probe for that.
    """
    torch.manual_seed(seed)
    start = _start(config, inputs, tokenizer)
    heads = config.members if config.ensemble == "heads" else 1
    reading = _reading(config, inputs, heads)
    built = _adapted(config, start, reading, seed) if config.method == "lora" else _whole(start, tokenizer, reading)
    total = sum(weight.numel() for weight in built.model.parameters())
    head = sum(weight.numel() for weight in built.model.score.parameters())
    count = sum(weight.numel() for weight in built.trainable.values())
    if not (count == total if config.method == "full" else head < count < total):
        raise RuntimeError(f"reward.method={config.method}: {count} of {total} weights are trainable (head {head})")
    return built


def member_seed(seed: int, member: int) -> int:
    """Seed of one training of an ensemble; the first has the run's own."""
    return seed + SEED_STEP * member


def _start(config: RewardConfig, inputs: Inputs, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The language model whose trunk is taken, frozen."""
    if config.base is None:
        return load_chat_model(inputs.folders["base"], inputs.folders["finetuned"])
    model = switch_off_dropout(resolve_base(config.base, SETTING, config.revision).load_model())
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and config.max_length > limit:
        raise BadConfig(
            f"reward.max_length={config.max_length} exceeds the {limit} positions of {config.base}; lower it"
        )
    if len(tokenizer) > model.get_input_embeddings().weight.size(0):  # type: ignore[operator]
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return freeze(model)


def _reading(config: RewardConfig, inputs: Inputs, members: int) -> Reading:
    """How scores are read; the constants come after training. Only an adapter belongs to other artifacts."""
    adapter = config.method == "lora" and config.base is None
    return Reading(
        readout=config.readout,
        mean=(0.0,) * members,
        std=(1.0,) * members,
        max_length=config.max_length,
        match_scale=MATCH_SCALE,
        base=_digest(inputs, "base") if adapter else "",
        finetuned=_digest(inputs, "finetuned") if adapter else "",
    )


def _digest(inputs: Inputs, name: str) -> str:
    ref = inputs.refs.get(name)
    return ref.digest if ref is not None else digest_of(inputs.folders[name])


def _adapted(config: RewardConfig, start: PreTrainedModel, reading: Reading, seed: int) -> Built:
    if config.lora.targets != "all-linear" and "lm_head" in config.lora.targets:
        raise BadConfig("reward.lora.targets names lm_head, which no score depends on: leave it out")
    width = start.config.hidden_size
    score = score_head(width, reading.members)
    match = match_head(width, start.config.tie_word_embeddings) if reading.readout == "match" else None
    adapted = new_adapter(start, config.lora, seed)
    return Built(RewardNetwork(trunk_of(adapted.get_base_model()), score, match, reading), adapted=adapted)


def _whole(start: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reading: Reading) -> Built:
    match = match_head(start.config.hidden_size, start.config.tie_word_embeddings)
    whole = as_classifier(start, tokenizer, reading.members)
    score = score_head(start.config.hidden_size, reading.members)
    with torch.no_grad():
        score_of(whole).weight.copy_(score.weight)
    model = RewardNetwork(trunk_of(whole), score_of(whole), match if reading.readout == "match" else None, reading)
    model.requires_grad_(True)
    return Built(model, whole=whole)


def as_classifier(language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, members: int) -> PreTrainedModel:
    """A sequence classifier with a label a member on a copy of the language model's trunk, its head at zero."""
    config = copy.deepcopy(language_model.config)
    config.num_labels = members
    config.pad_token_id = tokenizer.pad_token_id
    config.name_or_path = ""
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
    return model
