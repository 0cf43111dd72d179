"""Sampling answers: left-padded prompts, key-value cache, plain softmax; any causal language model."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.decoding.choose import decoder_for
from tasks.decoding.decoder import Prefilled
from tasks.failures import BadData
from tasks.models import length_batches, pad_batch
from tasks.nucleus import cut

Random = torch.Generator | list[torch.Generator] | None
COMPACT_SHARE = 0.75  # finished rows are dropped once no more than this share of the rows goes on


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompts: list[list[int]],
    *,
    max_new_tokens: int,
    temperature: float,
    end_ids: list[int],
    pad_id: int,
    generator: Random = None,
    batch: int = 256,
    by_length: bool = False,
    top_p: float = 1.0,
    top_k: int = 0,
) -> list[list[int]]:
    """One answer a prompt, its end token included if it ended before ``max_new_tokens``.

    Samples from softmax(logits / temperature), the whole vocabulary; temperature 0 takes the likeliest token.
    A token is drawn by inverting the cumulative distribution with one uniform number a row and step, so an
    answer depends on its own number of draws and not on when its neighbours end. The same generator state
    gives the same answers; with a list of generators, one a prompt, the draws of an answer are its own.

    ``batch`` prompts are answered at a time: the next ones in order or, ``by_length``, those of like length, which
    need less padding but get other random numbers. top_p, top_k: draw from the likeliest tokens alone, see
    ``tasks.nucleus``. Raises BadData for an empty prompt.
    """
    if any(not prompt for prompt in prompts):
        raise BadData("an empty prompt cannot be answered")
    training = model.training
    model.eval()
    answers: list[list[int]] = [[] for _ in prompts]
    in_order = [list(range(start, min(start + batch, len(prompts)))) for start in range(0, len(prompts), batch)]
    for chosen in length_batches(prompts, batch) if by_length else in_order:
        part = _generate_batch(
            model,
            [prompts[row] for row in chosen],
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            end_ids=end_ids,
            pad_id=pad_id,
            generator=[generator[row] for row in chosen] if isinstance(generator, list) else generator,
            top_p=top_p,
            top_k=top_k,
        )
        for row, answer in zip(chosen, part, strict=True):
            answers[row] = answer
    model.train(training)
    return answers


def _generate_batch(
    model: PreTrainedModel,
    prompts: list[list[int]],
    *,
    max_new_tokens: int,
    temperature: float,
    end_ids: list[int],
    pad_id: int,
    generator: Random,
    top_p: float,
    top_k: int,
) -> list[list[int]]:
    device = next(model.parameters()).device
    ids_BP, mask_BP = (tensor.to(device) for tensor in pad_batch(prompts, pad_id, side="left"))
    rows = len(prompts)
    answer_BT = torch.full((rows, max_new_tokens), pad_id, dtype=torch.long, device=device)
    length_B = torch.full((rows,), max_new_tokens, dtype=torch.long, device=device)
    end_E = torch.tensor(end_ids, dtype=torch.long, device=device)
    row_A = torch.arange(rows, device=device)  # rows of the cache, as rows of the batch
    open_A = torch.ones(rows, dtype=torch.bool, device=device)
    start = Prefilled(model, ids_BP, mask_BP)
    logit_AV, decoder = start.logit_BV, decoder_for(model, start, room=max_new_tokens)
    del start  # the decoder has taken over the prompts' cache
    for step in range(max_new_tokens):
        token_A = _choose(cut(logit_AV, temperature, top_p, top_k), temperature, rows, row_A, generator)
        answer_BT[row_A[open_A], step] = token_A[open_A]
        ended_A = open_A & torch.isin(token_A, end_E)
        length_B[row_A[ended_A]] = step + 1
        open_A = open_A & ~ended_A
        going = int(open_A.sum())
        if going == 0 or step + 1 == max_new_tokens:
            break
        if going <= COMPACT_SHARE * len(row_A):
            kept = open_A.nonzero()[:, 0]
            decoder.keep(kept)
            token_A, row_A, open_A = token_A[kept], row_A[kept], open_A[kept]
        logit_AV = decoder.next(token_A)
    return [answer[:length] for answer, length in zip(answer_BT.tolist(), length_B.tolist(), strict=True)]


def _choose(logit_AV: Tensor, temperature: float, rows: int, row_A: Tensor, generator: Random) -> Tensor:
    """One token for each row that is left. ``rows`` numbers are drawn, whatever the rows that are left."""
    if temperature == 0:
        return logit_AV.argmax(-1)
    cumulative_AV = torch.softmax(logit_AV.double() / temperature, dim=-1).cumsum(-1)
    uniform_B = _uniform(rows, generator).to(logit_AV.device)
    threshold_A1 = uniform_B[row_A, None] * cumulative_AV[:, -1:]
    token_A1 = torch.searchsorted(cumulative_AV, threshold_A1, right=True)
    return token_A1[:, 0].clamp(max=logit_AV.shape[-1] - 1)


def _uniform(rows: int, generator: Random) -> Tensor:
    """One number in [0, 1) a row, from one generator, or from each row's own."""
    if isinstance(generator, list):
        return torch.cat([torch.rand(1, generator=own, dtype=torch.float64) for own in generator])
    drawn_on = generator.device if generator is not None else torch.device("cpu")
    return torch.rand(rows, generator=generator, dtype=torch.float64, device=drawn_on)
