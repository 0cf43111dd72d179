"""Rows of a data set as prompts: TRL's layout, a text or a conversation under ``prompt``."""

from collections.abc import Iterable, Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from tasks.chat import CHAT_TEMPLATE, encode_prompt
from tasks.failures import BadData
from tasks.prompt_sets import Messages, Prompt, is_conversation


def encode_rows(rows: Iterable[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[Prompt]:
    """Prompts of at most ``limit`` tokens. A text is tokenised as it is and continued; messages go through the
    tokenizer's template. All other keys are columns for reward functions. Raises BadData with the row's number."""
    prompts = []
    for number, row in enumerate(rows):
        given = row.get("prompt")
        columns = {name: value for name, value in row.items() if name != "prompt"}
        if is_conversation(given):
            messages = [dict(turn) for turn in given]
            prompts.append(Prompt(messages[-1]["content"], conversation_ids(tokenizer, messages), messages, columns))
        elif isinstance(given, str) and given:
            prompts.append(Prompt(given, list(tokenizer(given)["input_ids"]), None, columns, continued=True))
        else:
            raise BadData(f"row {number}: `prompt` is {type(given).__name__}, expected a text or a list of messages")
    return [prompt for prompt in prompts if 0 < len(prompt.ids) <= limit]


def conversation_ids(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> list[int]:
    """Ids of a conversation that the assistant is to answer. Raises BadData without a template."""
    if tokenizer.chat_template is None:
        raise BadData("a prompt is a conversation and the tokenizer has no chat template; give prompts as texts")
    if tokenizer.chat_template == CHAT_TEMPLATE:
        return encode_prompt(tokenizer, messages)  # what a user types is never a marker there
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
