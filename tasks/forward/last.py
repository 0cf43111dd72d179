"""The state at the end of a text, by the fastest way that a model has."""

from typing import cast

import torch
from torch import Tensor, nn

from tasks.forward import llama


def last_states(trunk: nn.Module, ids_BT: Tensor, length_B: Tensor) -> Tensor:
    """state_BH at each text's last token. Texts are padded at the right, so that no real token sees a pad."""
    if llama.fits(trunk):
        return llama.states(trunk, ids_BT, length_B - 1)[:, 0]
    state_BTH = trunk(input_ids=ids_BT, use_cache=False).last_hidden_state
    return cast(Tensor, state_BTH[torch.arange(len(ids_BT), device=ids_BT.device), length_B - 1])
