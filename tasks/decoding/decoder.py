"""What the sampler asks of a model, and the way that serves every causal model.

Shapes: B rows of the batch, P tokens of the longest prompt (padded at the left), A rows that are still answered,
V vocabulary, L columns of the cache.
"""

from typing import Any, Protocol, cast

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


class Decoder(Protocol):
    """The state of one batch. ``next`` and ``keep`` go on where the last call stopped."""

    def next(self, token_A: Tensor) -> Tensor:
        """logit_AV after one more token a row."""
        ...

    def keep(self, kept_A: Tensor) -> None:
        """Drop all rows but these positions."""
        ...


class Prefilled:
    """The prompts' pass: logits after each prompt, cache, mask and positions.

    A prompt that stands in several rows, as the K answers of a candidate set do, goes through the model once.
    """

    def __init__(self, model: PreTrainedModel, ids_BP: Tensor, mask_BP: Tensor) -> None:
        both_B2P = torch.stack([mask_BP, ids_BP], dim=1)
        both_U2P, row_B = torch.unique(both_B2P, dim=0, return_inverse=True)
        self.distinct = len(both_U2P) == len(both_B2P)
        if self.distinct:  # in the order given
            both_U2P, row_B = both_B2P, torch.arange(len(ids_BP), device=ids_BP.device)
        mask_UP, ids_UP = both_U2P.unbind(1)
        position_UP = (mask_UP.cumsum(1) - 1).clamp(min=0)
        self.cache = DynamicCache(config=model.config)
        output = model(
            input_ids=ids_UP,
            attention_mask=mask_UP,
            position_ids=position_UP,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.row_B = row_B
        self.logit_BV = cast(Tensor, output.logits[:, -1][row_B])
        self.mask_BP = mask_BP
        self.position_B = position_UP[row_B, -1]  # of the last prompt token


class AnyDecoder:
    """Through the model's own forward pass, with transformers' cache, which grows by a copy at each step."""

    def __init__(self, model: PreTrainedModel, start: Prefilled, room: int) -> None:
        self.model, self.cache, self.position_A = model, start.cache, start.position_B
        if not start.distinct:
            self.cache.batch_select_indices(start.row_B)
        rows, self.width = start.mask_BP.shape
        # the mask is written once at full length, each step looks at a longer part of it
        self.mask_AL = torch.cat([start.mask_BP, start.mask_BP.new_ones(rows, room)], dim=1)

    def next(self, token_A: Tensor) -> Tensor:
        self.position_A = self.position_A + 1
        self.width += 1
        output = self.model(
            input_ids=token_A[:, None],
            attention_mask=self.mask_AL[:, : self.width],
            position_ids=self.position_A[:, None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return cast(Tensor, output.logits[:, -1])

    def keep(self, kept_A: Tensor) -> None:
        self.cache.batch_select_indices(kept_A)
        self.mask_AL, self.position_A = self.mask_AL[kept_A], self.position_A[kept_A]


class RoomyCache:
    """Keys and values of all layers with room for the whole answer: a step writes its column and copies nothing.

    keys, values: one tensor a layer, [A, heads, D, L] and [A, heads, L, D]; so laid out, the product of one query with
    all keys takes three quarters of the time. bias_A11L is added to attention scores: 0 where a row may
    look, -inf on its padding.
    """

    def __init__(self, start: Prefilled, room: int) -> None:
        self.at = start.mask_BP.shape[1]
        self.position_A = start.position_B
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        for layer in cast(list[Any], start.cache.layers):
            rows, (_, heads, width, size) = len(start.row_B), layer.keys.shape
            key = layer.keys.new_empty(rows, heads, size, width + room)
            value = layer.values.new_empty(rows, heads, width + room, size)
            key[..., :width] = layer.keys.transpose(2, 3)[start.row_B]
            value[:, :, :width] = layer.values[start.row_B]
            self.keys.append(key)
            self.values.append(value)
            layer.keys = layer.values = None
        shape = (len(start.row_B), 1, 1, self.at + room)
        self.bias_A11L = self.keys[0].new_zeros(shape)
        self.bias_A11L[:, 0, 0, : self.at].masked_fill_(start.mask_BP == 0, float("-inf"))

    def advance(self) -> None:
        """Before a step: one more column, one more position a row."""
        self.at += 1
        self.position_A = self.position_A + 1

    def attend(self, layer: int, query_AHD: Tensor, key_AGD: Tensor, value_AGD: Tensor, scale: float) -> Tensor:
        """Write the newest key and value, look at all; returns the heads side by side, [A, H·D].

        Two small matrix products a row take half the time of PyTorch's attention kernel, which is made for many
        queries; where several query heads share a key, a quarter, for that kernel needs a copy of the key for each.
        """
        key_AGDL, value_AGLD = self.keys[layer], self.values[layer]
        key_AGDL[..., self.at - 1] = key_AGD
        value_AGLD[:, :, self.at - 1] = value_AGD
        rows, heads, size = query_AHD.shape
        score_AGRL = query_AHD.view(rows, key_AGD.shape[1], -1, size) @ key_AGDL[..., : self.at]
        score_AGRL = score_AGRL.mul_(scale).add_(self.bias_A11L[..., : self.at])
        weight_AGRL = torch.softmax(score_AGRL, dim=-1, dtype=torch.float32).to(query_AHD.dtype)
        return (weight_AGRL @ value_AGLD[:, :, : self.at]).reshape(rows, heads * size)

    def keep(self, kept_A: Tensor) -> None:
        """Layer by layer, so that the old and the new cache are never both whole."""
        for tensors in (self.keys, self.values):
            for layer, whole in enumerate(tensors):
                tensors[layer] = whole[kept_A]
        self.bias_A11L, self.position_A = self.bias_A11L[kept_A], self.position_A[kept_A]
