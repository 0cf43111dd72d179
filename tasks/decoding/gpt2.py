"""Decoding with a GPT-2 (Radford et al. 2019) without what the model's wrappers cost a step.

As in llama.py, the model's own modules compute every matrix product and norm.
"""

from typing import Any, cast

from torch import Tensor
from transformers import GPT2LMHeadModel, PreTrainedModel

from tasks.decoding.decoder import Prefilled, RoomyCache


class GPT2Decoder:
    """Learned positions, one matrix for query, key and value."""

    @staticmethod
    def fits(model: PreTrainedModel) -> bool:
        """Exactly this class, with attention scaled as in the paper."""
        config = model.config
        return (
            type(model) is GPT2LMHeadModel
            and config.scale_attn_weights
            and not config.scale_attn_by_inverse_layer_idx
            and not config.add_cross_attention
        )

    def __init__(self, model: PreTrainedModel, start: Prefilled, room: int) -> None:
        self.model = cast(Any, model)
        self.cache = RoomyCache(start, room)

    def next(self, token_A: Tensor) -> Tensor:
        cache, trunk = self.cache, self.model.transformer
        cache.advance()
        state_AH = trunk.wte(token_A) + trunk.wpe(cache.position_A)
        rows = len(token_A)
        for number, layer in enumerate(trunk.h):
            attention = layer.attn
            parts = attention.c_attn(layer.ln_1(state_AH)).split(attention.split_size, dim=-1)
            query, key, value = (part.view(rows, -1, attention.head_dim) for part in parts)
            seen_AH = cache.attend(number, query, key, value, attention.head_dim**-0.5)
            state_AH = state_AH + attention.c_proj(seen_AH)
            state_AH = state_AH + layer.mlp(layer.ln_2(state_AH))
        return cast(Tensor, self.model.lm_head(trunk.ln_f(state_AH)))

    def keep(self, kept_A: Tensor) -> None:
        self.cache.keep(kept_A)
