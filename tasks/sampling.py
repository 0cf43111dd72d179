"""Sampling answers: left-padded prompts, key-value cache, plain softmax; any causal language model."""

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from tasks.failures import BadData
from tasks.models import pad_batch
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
    top_p: float = 1.0,
    top_k: int = 0,
) -> list[list[int]]:
    """One answer a prompt, its end token included if it ended before ``max_new_tokens``.

    Samples from softmax(logits / temperature), the whole vocabulary; temperature 0 takes the likeliest token.
    A token is drawn by inverting the cumulative distribution with one uniform number a row and step, so an
    answer depends on its own number of draws and not on when its neighbours end. The same generator state
    gives the same answers; with a list of generators, one a prompt, an answer depends on its own one only.
    top_p, top_k: draw from the likeliest tokens alone, see ``tasks.nucleus``. Raises BadData for an empty prompt.
    """
    if any(not prompt for prompt in prompts):
        raise BadData("an empty prompt cannot be answered")
    training = model.training
    model.eval()
    answers: list[list[int]] = []
    for start in range(0, len(prompts), batch):
        part = prompts[start : start + batch]
        answers += _generate_batch(
            model,
            part,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            end_ids=end_ids,
            pad_id=pad_id,
            generator=generator[start : start + batch] if isinstance(generator, list) else generator,
            top_p=top_p,
            top_k=top_k,
        )
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
    rows, width = ids_BP.shape
    # the mask is written once at full length, each step looks at a longer part of it
    mask_BL = torch.cat([mask_BP, mask_BP.new_ones(rows, max_new_tokens)], dim=1)
    position_BP = (mask_BP.cumsum(1) - 1).clamp(min=0)
    answer_BT = torch.full((rows, max_new_tokens), pad_id, dtype=torch.long, device=device)
    length_B = torch.full((rows,), max_new_tokens, dtype=torch.long, device=device)
    end_E = torch.tensor(end_ids, dtype=torch.long, device=device)
    row_A = torch.arange(rows, device=device)  # rows of the cache, as rows of the batch
    open_A = torch.ones(rows, dtype=torch.bool, device=device)
    cache = DynamicCache(config=model.config)
    step_ids, step_position = ids_BP, position_BP
    for step in range(max_new_tokens):
        logit_AV = model(
            input_ids=step_ids,
            attention_mask=mask_BL[:, : width + step],
            position_ids=step_position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        token_A = _choose(cut(logit_AV, temperature, top_p, top_k), temperature, rows, row_A, generator)
        answer_BT[row_A[open_A], step] = token_A[open_A]
        ended_A = open_A & torch.isin(token_A, end_E)
        length_B[row_A[ended_A]] = step + 1
        open_A = open_A & ~ended_A
        going = int(open_A.sum())
        if going == 0 or step + 1 == max_new_tokens:
            break
        step_position = step_position[:, -1:] + 1
        if going <= COMPACT_SHARE * len(row_A):
            kept = open_A.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            token_A, row_A, open_A = token_A[kept], row_A[kept], open_A[kept]
            mask_BL, step_position = mask_BL[kept], step_position[kept]
        step_ids = token_A[:, None]
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
