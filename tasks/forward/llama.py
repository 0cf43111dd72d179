"""The pass of a Llama (Touvron et al. 2023; also SmolLM2) over whole texts, as far as somebody reads its states.

The model's own modules compute every matrix product, adapters included. Norms, rotation and attention are written out;
the last layer computes queries, output and MLP for the columns that are asked for alone, of the others it needs keys
and values. States equal the model's own to rounding (tests/tasks/forward).
Shapes: B texts, T columns, K of them asked for, H width, N query heads, G key heads, D width of a head.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlamaForCausalLM, LlamaModel, PreTrainedModel

from tasks.decoding.llama import ROPES
from tasks.forward.functions import Norm, Rotate

Asked = slice | Tensor
"""Columns somebody reads: the same of each text, or one of each, [B]."""


def fits(model: nn.Module) -> bool:
    """Exactly this class, in evaluation mode, with attention by PyTorch's kernel and no checkpointing."""
    if type(model) not in (LlamaForCausalLM, LlamaModel):
        return False
    config = cast(Any, model.config)
    plain = not model.training and not cast(PreTrainedModel, model).is_activation_checkpointing
    return plain and config._attn_implementation == "sdpa" and config.rope_parameters["rope_type"] in ROPES


def states(model: nn.Module, ids_BT: Tensor, asked: Asked, attention_BT: Tensor | None = None) -> Tensor:
    """state_BKH after the last norm, of the columns that are ``asked`` for.

    attention_BT: 0 on padding; None where no padding precedes what is read.
    """
    trunk = cast(Any, model if isinstance(model, LlamaModel) else model.model)
    place = Place.of(trunk, ids_BT, attention_BT)
    state_BTH = trunk.embed_tokens(ids_BT)
    last = len(trunk.layers) - 1
    for number, layer in enumerate(trunk.layers):
        part = asked if number == last else slice(None)
        seen = _attention(layer.self_attn, _norm(layer.input_layernorm, state_BTH), place, part)
        state_BTH = _take(state_BTH, part) + seen
        mlp = layer.mlp
        normed = _norm(layer.post_attention_layernorm, state_BTH)
        state_BTH = state_BTH + mlp.down_proj(mlp.act_fn(mlp.gate_proj(normed)) * mlp.up_proj(normed))
    return _norm(trunk.norm, state_BTH)


@dataclass(frozen=True)
class Place:
    """Where the columns are and what they may see, the same for all layers.

    cos, sin: angles of their positions, [B or 1, T, 1, D/2]; a text's first token is at 0.
    bias: added to scores, [B, 1, T, T], -inf where a column must not look; None where that is just what lies ahead.
    """

    cos: Tensor
    sin: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, trunk: Any, ids_BT: Tensor, attention_BT: Tensor | None) -> "Place":
        """A column sees itself even as padding: of a row that sees nothing no softmax could be taken."""
        width, device, weight = ids_BT.shape[1], ids_BT.device, trunk.embed_tokens.weight
        position, bias = torch.arange(width, device=device)[None], None
        if attention_BT is not None:
            position = (attention_BT.cumsum(1) - 1).clamp(min=0)
            hidden_BTT = _ahead(width, device) | (attention_BT == 0)[:, None, :]
            hidden_BTT.diagonal(dim1=1, dim2=2).fill_(False)
            bias = weight.new_zeros(hidden_BTT.shape).masked_fill_(hidden_BTT, float("-inf"))[:, None]
        cos, sin = trunk.rotary_emb(weight, position)
        half = cos.shape[-1] // 2
        return cls(cos[:, :, None, :half], sin[:, :, None, :half], bias)

    def seen_by(self, asked: Asked, like: Tensor) -> Tensor | None:
        """The bias of the columns asked for, [B or 1, 1, K, T]; None when these are all and look back alone."""
        if isinstance(asked, slice) and self.bias is not None:
            return self.bias[:, :, asked]
        if isinstance(asked, slice) and asked.start is None:
            return None
        width = like.shape[1]
        bias = like.new_zeros(width, width).masked_fill_(_ahead(width, like.device), float("-inf"))
        if self.bias is None:
            return bias[asked][None, None] if isinstance(asked, slice) else bias[asked][:, None, None]
        return self.bias[torch.arange(len(like), device=like.device), :, asked, None]


def _ahead(width: int, device: torch.device) -> Tensor:
    return torch.ones(width, width, dtype=torch.bool, device=device).triu(1)


def _take(given: Tensor, asked: Asked) -> Tensor:
    """Columns of [B or 1, T, …]."""
    if isinstance(asked, slice):
        return given[:, asked]
    return given.expand(len(asked), *given.shape[1:])[torch.arange(len(asked), device=given.device), asked, None]


def _attention(attention: Any, normed_BTH: Tensor, place: Place, asked: Asked) -> Tensor:
    """What the columns asked for see of all columns, [B, K, H]."""
    rows, width, _ = normed_BTH.shape
    heads = attention.config.num_attention_heads
    query = attention.q_proj(_take(normed_BTH, asked)).view(rows, -1, heads, attention.head_dim)
    query = Rotate.apply(query, _take(place.cos, asked), _take(place.sin, asked))
    key = attention.k_proj(normed_BTH).view(rows, width, -1, attention.head_dim)
    value = attention.v_proj(normed_BTH).view(rows, width, -1, attention.head_dim)
    key = Rotate.apply(key, place.cos, place.sin)
    if (groups := heads // key.shape[2]) > 1:
        key, value = (part[:, :, :, None].expand(-1, -1, -1, groups, -1).flatten(2, 3) for part in (key, value))
    bias = place.seen_by(asked, normed_BTH)
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    seen = scaled_dot_product_attention(query, key, value, bias, is_causal=bias is None, scale=attention.scaling)
    return cast(Tensor, attention.o_proj(seen.transpose(1, 2).flatten(2)))


def _norm(norm: Any, state_BTH: Tensor) -> Tensor:
    if norm.weight.requires_grad or state_BTH.dtype != torch.float32:
        return cast(Tensor, norm(state_BTH))
    return cast(Tensor, Norm.apply(state_BTH, norm.weight, norm.variance_epsilon))
