"""Documents of a packed row that do not see each other.

transformers makes the mask from the positions alone: where they do not go up by one another document begins, and
attention stays within it (masking_utils.find_packed_sequence_indices), whatever its implementation.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.failures import BadConfig

TOLERANCE = 1e-3  # of the largest logit: far above rounding, far below what other documents change


def places(documents: list[list[int]], width: int) -> Tensor:
    """``position_BT``, int64: places of tokens within their documents. ``documents``: where in each row another
    document begins; a row itself begins at 0. Padding goes on counting."""
    begin_BT = torch.zeros((len(documents), width), dtype=torch.long)
    for index, starts in enumerate(documents):
        inside = torch.tensor([start for start in starts if start < width], dtype=torch.long)
        begin_BT[index, inside] = inside
    return torch.arange(width) - begin_BT.cummax(1).values


@torch.no_grad()
def expect_reset(model: PreTrainedModel) -> None:
    """Raises BadConfig when the model's tokens still see the document before: not every architecture can do this."""
    ids_BT = torch.arange(1, 13, device=model.device)[None] % model.config.vocab_size
    position_BT = places([[7]], 12).to(model.device)
    row_BTV = model(input_ids=ids_BT, position_ids=position_BT, use_cache=False).logits
    alone_BTV = model(input_ids=ids_BT[:, 7:], use_cache=False).logits
    apart = float((row_BTV[:, 7:] - alone_BTV).abs().max() / alone_BTV.abs().max())
    if apart > TOLERANCE:
        raise BadConfig(
            f"pretrain.attention=document: {type(model).__name__} lets tokens see the document before (logits differ "
            f"by {apart:.1e} of their size); set pretrain.attention=full, or pretrain.rows=documents"
        )
