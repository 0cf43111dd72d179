"""Rewards of a library user as terms: functions, sequence classifiers, folders of the reward stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.failures import BadConfig
from tasks.forward.last import last_states
from tasks.models import length_batches, pad_batch
from tasks.prompt_sets import Prompt
from tasks.reward_model import RewardModel, finite
from tasks.rewards import Term, function_term, model_term


def reward_terms(
    given: Any,
    weights: Sequence[float] | None,
    tokenizers: Sequence[PreTrainedTokenizerBase | None] | None,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
) -> list[Term]:
    """A term for each of ``given``; classifiers without a tokenizer of their own use the policy's.

    Raises BadConfig when the lists differ in length, or something is no reward.
    """
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    factors, own = list(weights or [1.0] * len(found)), list(tokenizers or [None] * len(found))
    if not found or not len(found) == len(factors) == len(own):
        raise BadConfig(
            f"{len(found)} reward_funcs, {len(factors)} reward_weights, {len(own)} reward_processing_classes: give as "
            "many of each, at least one"
        )
    terms: list[Term] = []
    for number, (item, weight) in enumerate(zip(found, factors, strict=True)):
        if isinstance(item, (str, Path)):
            terms.append(model_term(RewardModel(Path(item), device), weight, Path(item).name))
        elif isinstance(item, nn.Module):
            terms.append(classifier_term(item.to(device), own[number] or tokenizer, weight))
        elif callable(item):
            terms.append(function_term(item, weight))
        else:
            raise BadConfig(f"reward_funcs[{number}] is {type(item).__name__}: no function, model or folder")
    names = [term.name for term in terms]
    return [
        term._replace(name=f"{term.name}_{n}") if names.count(term.name) > 1 else term for n, term in enumerate(terms)
    ]


def classifier_term(model: nn.Module, tokenizer: PreTrainedTokenizerBase, weight: float = 1.0) -> Term:
    """A sequence classifier with one output: the text is tokenised anew with its own tokenizer and template."""
    model = model.eval().requires_grad_(False)

    def run(prompts: list[Prompt], answers: list[str]) -> Tensor:
        rows = [_ids(tokenizer, prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
        return finite(classify(model, rows), [prompt.text for prompt in prompts])

    return Term(type(model).__name__, weight, run)


@torch.no_grad()
def classify(model: nn.Module, rows: list[list[int]], batch: int = 64) -> Tensor:
    """The one output for each row, on the CPU.

    A decoder is read at the last real token by length: its own search for the last token that is no pad goes wrong
    where the pad token is the end token.
    """
    score_B, device = torch.zeros(len(rows)), next(model.parameters()).device
    for chosen in length_batches(rows, batch):
        ids_BT, mask_BT = (tensor.to(device) for tensor in pad_batch([rows[index] for index in chosen], 0))
        if isinstance(getattr(model, "score", None), nn.Module):
            trunk = cast(PreTrainedModel, model).base_model
            found_B = cast(nn.Module, model.score)(last_states(trunk, ids_BT, mask_BT.sum(1)))[:, 0]
        else:
            found_B = model(input_ids=ids_BT, attention_mask=mask_BT).logits[:, 0]
        score_B[torch.tensor(chosen)] = found_B.float().cpu()
    return score_B


def _ids(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, answer: str) -> list[int]:
    if prompt.continued:
        return list(tokenizer(prompt.text + answer)["input_ids"])
    messages = [*prompt.turns, {"role": "assistant", "content": answer}]
    return list(tokenizer.apply_chat_template(messages, return_dict=False))
