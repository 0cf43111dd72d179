"""Decoding with a Llama (Touvron et al. 2023; also SmolLM2) without what the model's wrappers cost a step.

The model's own modules compute every matrix product and norm; rotation, cache and attention of a single new token
are written out. Logits equal those of the model's forward pass to 1e-5 in float32 (tests/tasks/decoding).
"""

from typing import Any, cast

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel

from tasks.decoding.decoder import Prefilled, RoomyCache

ROPES = {"default", "linear", "llama3"}  # frequencies do not depend on the length so far


class LlamaDecoder:
    """Grouped query heads, rotary positions; biases and tied embeddings as the model has them."""

    @staticmethod
    def fits(model: PreTrainedModel) -> bool:
        """Exactly this class: a subclass or a relative may compute something else."""
        return type(model) is LlamaForCausalLM and cast(Any, model.config).rope_parameters["rope_type"] in ROPES

    def __init__(self, model: PreTrainedModel, start: Prefilled, room: int) -> None:
        self.model = cast(Any, model)
        self.cache = RoomyCache(start, room)
        last = int(start.position_B.max()) + room
        position_1L = torch.arange(last + 1, device=start.position_B.device)[None]
        cos_1LD, sin_1LD = self.model.model.rotary_emb(start.logit_BV, position_1L)
        self.cos_LD, self.sin_LD = cos_1LD[0], sin_1LD[0]

    def next(self, token_A: Tensor) -> Tensor:
        cache, trunk = self.cache, self.model.model
        cache.advance()
        cos_A1D = self.cos_LD[cache.position_A][:, None]
        sin_A1D = self.sin_LD[cache.position_A][:, None]
        state_AH = trunk.embed_tokens(token_A)
        rows = len(token_A)
        for number, layer in enumerate(trunk.layers):
            attention = layer.self_attn
            shape = (rows, -1, attention.head_dim)
            normed_AH = layer.input_layernorm(state_AH)
            query = rotate(attention.q_proj(normed_AH).view(shape), cos_A1D, sin_A1D)
            key = rotate(attention.k_proj(normed_AH).view(shape), cos_A1D, sin_A1D)
            value = attention.v_proj(normed_AH).view(shape)
            seen_AH = cache.attend(number, query, key, value, attention.scaling)
            state_AH = state_AH + attention.o_proj(seen_AH)
            state_AH = state_AH + layer.mlp(layer.post_attention_layernorm(state_AH))
        return cast(Tensor, self.model.lm_head(trunk.norm(state_AH)))

    def keep(self, kept_A: Tensor) -> None:
        self.cache.keep(kept_A)


def rotate(given_AHD: Tensor, cos_A1D: Tensor, sin_A1D: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021, equation 34), in the half-and-half order of transformers."""
    half = given_AHD.shape[-1] // 2
    turned_AHD = torch.cat((-given_AHD[..., half:], given_AHD[..., :half]), dim=-1)
    return given_AHD * cos_A1D + turned_AHD * sin_A1D
