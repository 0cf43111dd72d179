"""The shape of a causal language model, and how many numbers it and its adapters have."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from configs.schema.pretrain import PretrainConfig
from tasks.failures import BadData

LLAMAS = {"llama": False, "mistral": False, "qwen2": True}  # model_type → whether query, key and value have biases


class Matrix(NamedTuple):
    """A linear layer: its name in the model, its width before and after, and whether it has a bias."""

    name: str
    before: int
    after: int
    bias: bool

    @property
    def weights(self) -> int:
        return self.before * self.after

    def adapter(self, rank: int) -> int:
        """Numbers of a LoRA adapter on it (Hu et al. 2021, section 4.1)."""
        return rank * (self.before + self.after)


@dataclass(frozen=True)
class ModelShape:
    """architecture: gpt2, or of LLAMAS. mlp: width of the feed-forward layer. positions: learned ones of GPT-2."""

    architecture: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    mlp: int
    vocabulary: int
    positions: int
    tied: bool = True
    biases: bool = False

    def block(self, number: int = 0) -> list[Matrix]:
        """The matrices of one layer."""
        width, inner, keys = self.hidden, self.heads * self.head_size, self.kv_heads * self.head_size
        if self.architecture == "gpt2":
            parts = [("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width)]
            parts += [("mlp.c_fc", width, self.mlp), ("mlp.c_proj", self.mlp, width)]
            return [Matrix(f"transformer.h.{number}.{name}", before, after, True) for name, before, after in parts]
        found = [("self_attn.q_proj", width, inner, self.biases), ("self_attn.k_proj", width, keys, self.biases)]
        found += [("self_attn.v_proj", width, keys, self.biases), ("self_attn.o_proj", inner, width, False)]
        found += [("mlp.gate_proj", width, self.mlp, False), ("mlp.up_proj", width, self.mlp, False)]
        found += [("mlp.down_proj", self.mlp, width, False)]
        return [Matrix(f"model.layers.{number}.{name}", before, after, bias) for name, before, after, bias in found]

    @property
    def spares(self) -> bool:
        """Whether a pass computes its last layer for the asked columns alone (tasks/forward/llama.py)."""
        return self.architecture == "llama"

    @property
    def embeddings(self) -> int:
        """Numbers of the token matrix."""
        return self.vocabulary * self.hidden

    @property
    def trunk_parameters(self) -> int:
        """Without an output layer."""
        norm = 2 * self.hidden if self.architecture == "gpt2" else self.hidden
        inside = sum(matrix.weights + matrix.bias * matrix.after for matrix in self.block()) + 2 * norm
        places = self.positions * self.hidden if self.architecture == "gpt2" else 0
        return self.embeddings + places + self.layers * inside + norm

    @property
    def parameters(self) -> int:
        """All numbers of the model; a tied output layer counts once."""
        return self.trunk_parameters + (0 if self.tied else self.embeddings)

    def adapted(self, targets: str | list[str]) -> list[Matrix]:
        """The matrices that PEFT puts an adapter on: all of the layers, those whose names end so, or match."""
        every = [matrix for number in range(self.layers) for matrix in self.block(number)]
        if targets == "all-linear":
            return every
        if isinstance(targets, str):
            return [matrix for matrix in every if re.fullmatch(targets, matrix.name)]
        return [one for one in every if any(one.name == name or one.name.endswith(f".{name}") for name in targets)]

    def adapter_parameters(self, rank: int, targets: str | list[str]) -> int:
        """Numbers of a LoRA adapter."""
        return sum(matrix.adapter(rank) for matrix in self.adapted(targets))


def shape_of_recipe(config: PretrainConfig, vocabulary: int) -> ModelShape:
    """The model that the pretrain stage makes from scratch."""
    return ModelShape(
        architecture=config.architecture,
        layers=config.layers,
        hidden=config.hidden,
        heads=config.heads,
        kv_heads=config.heads,
        head_size=config.hidden // config.heads,
        mlp=config.mlp,
        vocabulary=vocabulary,
        positions=config.context,
    )


def shape_of_folder(folder: Path) -> ModelShape:
    """Of a model's config.json. Raises BadData for a kind of model whose shape is not known here."""
    path = folder / "config.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return shape_of_config(said)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path}: no config of a model that can be planned: {error!r}") from error


def shape_of_config(said: dict[str, Any]) -> ModelShape:
    """Of the values of a config.json, with transformers' defaults. Raises BadData for other kinds of models."""
    kind = said.get("model_type")
    if kind == "gpt2":
        width, heads = said["n_embd"], said["n_head"]
        return ModelShape(
            architecture="gpt2",
            layers=said["n_layer"],
            hidden=width,
            heads=heads,
            kv_heads=heads,
            head_size=width // heads,
            mlp=said.get("n_inner") or 4 * width,
            vocabulary=said["vocab_size"],
            positions=said["n_positions"],
            tied=said.get("tie_word_embeddings", True),
        )
    if kind not in LLAMAS:
        raise BadData(f"model_type={kind!r}: the planner knows gpt2, {', '.join(LLAMAS)}")
    heads, width = said["num_attention_heads"], said["hidden_size"]
    return ModelShape(
        architecture=kind,
        layers=said["num_hidden_layers"],
        hidden=width,
        heads=heads,
        kv_heads=said.get("num_key_value_heads") or heads,
        head_size=said.get("head_dim") or width // heads,
        mlp=said["intermediate_size"],
        vocabulary=said["vocab_size"],
        positions=said.get("max_position_embeddings", 0),
        tied=said.get("tie_word_embeddings", False),
        biases=bool(LLAMAS[kind] or said.get("attention_bias", False)),
    )
