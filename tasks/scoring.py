"""Scores of a reward model: which tokens are read, and how; the same code in training and in use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from tasks.chat import encode_conversation, encode_prompt
from tasks.failures import BadData
from tasks.models import expect_files, freeze, length_batches, pad_batch, switch_off_dropout

Messages = list[dict[str, str]]
READOUT = "plumbline_readout"  # attribute of the model's config.json: "last", "mean" or "match"
OFFSET = "plumbline_offset"  # attribute of config.json: what is subtracted, so that training answers average 0
SCALE = "plumbline_match_scale"  # attribute of config.json: factor of the "match" readout
# An answer of some dozens of words has one wrong animal: without a factor the mean over its tokens hides it
MATCH_SCALE = 8.0


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


def load_reward(folder: Path) -> PreTrainedModel:
    """A reward model: one score a conversation. Frozen, float32. Raises BadData when it has more than one output."""
    expect_files(folder, "config.json", "*.safetensors")
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    if model.config.num_labels != 1:
        raise BadData(f"{folder.name}: a reward model has 1 output, this one has {model.config.num_labels}")
    if readout(model) == "match":
        add_match(model)
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            model.match.load_state_dict({"weight": file.get_tensor("match.weight").float()})
    return freeze(switch_off_dropout(model.eval()))


@contextmanager
def quiet() -> Iterator[None]:
    """transformers names the match head as unexpected: it is ours, and read right after."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def readout(model: nn.Module) -> str:
    """How the score is read; models made elsewhere are read at the last token."""
    return str(getattr(model.config, READOUT, "last"))


def add_match(model: PreTrainedModel) -> None:
    """Put a match head on the model. It starts at one, where with tied embeddings the match is the language model's
    own logit of the token that came; without tied embeddings it starts at zero.
    """
    match = nn.Linear(model.config.hidden_size, 1, bias=False)
    nn.init.constant_(match.weight, 1.0 if model.config.tie_word_embeddings else 0.0)
    model.match = match.to(model.device)


def scores(model: nn.Module, ids_BT: Tensor, start_B: Tensor, length_B: Tensor) -> Tensor:
    """Score of each conversation, [B], float32, with gradients.

    "last": the head's value v·h at the last real token (InstructGPT). "mean": the mean of v·h over the answer's tokens,
    so that a fault is credited where it stands. "match": the mean of v·h_t + w·(h_{t-1} * e(x_t)), where h_{t-1} is the
    state that expected token t and e(x_t) the embedding of the one that came. A fine-tuned model expects what was asked
    for, so relevance is there from the first step, and the rankings decide what it is worth.
    Right padding and causal attention: no real token sees a pad, so no attention mask is needed. Positions are those
    of the lengths and never of some token id.
    """
    trunk = cast(PreTrainedModel, model.base_model)
    hidden_BTD = trunk(input_ids=ids_BT, use_cache=False).last_hidden_state
    head, offset = cast(nn.Module, model.score), float(getattr(model.config, OFFSET, 0.0))
    if readout(model) == "last":
        row_B = torch.arange(len(ids_BT), device=ids_BT.device)
        return cast(Tensor, head(hidden_BTD[row_B, length_B - 1])[:, 0].float()) - offset
    value_BT = head(hidden_BTD)[..., 0].float()
    if readout(model) == "match":
        came_BTD = trunk.get_input_embeddings()(ids_BT)[:, 1:]
        match_BT = cast(nn.Module, model.match)(hidden_BTD[:, :-1] * came_BTD)[..., 0].float()
        value_BT = float(getattr(model.config, SCALE, MATCH_SCALE)) * (value_BT + nn.functional.pad(match_BT, (1, 0)))
    position_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
    answer_BT = (position_T >= start_B[:, None]) & (position_T < length_B[:, None])
    return (value_BT * answer_BT).sum(1) / answer_BT.sum(1).clamp(min=1) - offset


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
