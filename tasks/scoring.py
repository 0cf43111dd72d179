"""Scores of a reward model: which tokens are read, and how; the same code in training and in use."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.chat import encode_conversation, encode_prompt
from tasks.failures import BadData
from tasks.models import length_batches, pad_batch

Messages = list[dict[str, str]]
READOUT = "plumbline_readout"  # attribute of the model's config.json: "mean" or "last"


class Conversation(NamedTuple):
    """Token ids of a prompt and its answer, and the first position of the answer."""

    ids: list[int]
    start: int


def encode_answer(
    tokenizer: PreTrainedTokenizerBase, prompt: Messages, answer: str, max_length: int | None
) -> Conversation:
    """Prompt and answer in the reward model's own template. A longer conversation is cut at the left, so that the
    answer stays; an answer longer than ``max_length`` begins at 0.
    """
    ids, _ = encode_conversation(tokenizer, [*prompt, {"role": "assistant", "content": answer}])
    start = len(encode_prompt(tokenizer, prompt))
    cut = max(len(ids) - max_length, 0) if max_length else 0
    return Conversation(ids[cut:], max(start - cut, 0))


def scores(model: nn.Module, ids_BT: Tensor, start_B: Tensor, length_B: Tensor) -> Tensor:
    """Score of each conversation, [B], float32, with gradients.

    Readout "last" takes the head's value at the last real token (InstructGPT). "mean" averages it over the answer's
    tokens, so that a fault is credited where it stands; small trunks then learn relevance and not style alone.
    Right padding and causal attention: no real token sees a pad, so no attention mask is needed. Positions are those
    of the lengths and never of some token id.
    """
    trunk = cast(nn.Module, model.base_model)
    hidden_BTD = trunk(input_ids=ids_BT, use_cache=False).last_hidden_state
    head = cast(nn.Module, model.score)
    if getattr(model.config, READOUT, "last") == "last":
        row_B = torch.arange(len(ids_BT), device=ids_BT.device)
        return cast(Tensor, head(hidden_BTD[row_B, length_B - 1])[:, 0].float())
    position_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
    answer_BT = (position_T >= start_B[:, None]) & (position_T < length_B[:, None])
    value_BT = head(hidden_BTD)[..., 0].float() * answer_BT
    return value_BT.sum(1) / answer_BT.sum(1).clamp(min=1)


@torch.no_grad()
def reward_scores(model: PreTrainedModel, rows: list[Conversation], pad_id: int, batch: int = 64) -> Tensor:
    """Scores [B] on the CPU, in the order given; rows of like length share a pass. Raises BadData for an empty row."""
    if any(not row.ids for row in rows):
        raise BadData("a conversation without tokens has no score")
    model.eval()
    device = next(model.parameters()).device
    score_B = torch.zeros(len(rows))
    for chosen in length_batches([row.ids for row in rows], batch):
        ids_BT, mask_BT = pad_batch([rows[index].ids for index in chosen], pad_id)
        start_B = torch.tensor([rows[index].start for index in chosen])
        found = scores(model, ids_BT.to(device), start_B.to(device), mask_BT.sum(1).to(device))
        score_B[torch.tensor(chosen)] = found.cpu()
    return score_B
