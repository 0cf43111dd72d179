"""Perplexity: e to the mean number of nats a token."""

import math

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from tasks.failures import BadData
from tasks.models import length_batches, pad_batch


@torch.no_grad()
def token_nats(
    model: PreTrainedModel,
    ids: list[list[int]],
    pad_id: int,
    batch: int = 32,
    masks: list[list[int]] | None = None,
    temperature: float = 1.0,
) -> list[float]:
    """Nats of each row: the sum of -log p(token | tokens before) over all its tokens but the first.

    The first token is given, so a row of n tokens has n-1 that are predicted. With ``masks`` only tokens whose
    mask is 1 count, for example an answer given its prompt. Rows do not see each other: the batch size does not
    matter beyond rounding. ``temperature``: of the distribution that is asked, softmax(logits / temperature).
    """
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    nats = [0.0] * len(ids)
    for chosen in length_batches(ids, batch):
        ids_BT, mask_BT = (tensor.to(device) for tensor in pad_batch([ids[index] for index in chosen], pad_id))
        if ids_BT.shape[1] < 2:
            continue
        # padding is at the right and attention looks left: real tokens never see it, no mask is needed
        logit_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits.float() / temperature
        loss_BT = F.cross_entropy(logit_BTV.transpose(1, 2), ids_BT[:, 1:], reduction="none")
        if masks is not None:
            mask_BT = pad_batch([masks[index] for index in chosen], 0)[0].to(device)
        row_B = (loss_BT.double() * mask_BT[:, 1:]).sum(1)
        for index, row in zip(chosen, row_B.tolist(), strict=True):
            nats[index] = row
    model.train(training)
    return nats


def predicted_tokens(ids: list[list[int]], masks: list[list[int]] | None = None) -> int:
    """Tokens that ``token_nats`` scores."""
    if masks is not None:
        return sum(sum(mask[1:]) for mask in masks)
    return sum(max(0, len(row) - 1) for row in ids)


def perplexity(
    model: PreTrainedModel,
    rows: list[list[int]],
    pad_id: int,
    batch: int = 32,
    masks: list[list[int]] | None = None,
) -> float:
    """exp(nats / predicted tokens) over all rows. Raises BadData when no token is predicted."""
    tokens = predicted_tokens(rows, masks)
    if tokens == 0:
        raise BadData("perplexity needs at least one row of two tokens")
    return bounded_exp(sum(token_nats(model, rows, pad_id, batch, masks)) / tokens)


def bounded_exp(nats: float) -> float:
    """exp, infinite instead of an OverflowError when a model is hopeless."""
    return math.exp(nats) if nats < 700 else math.inf
