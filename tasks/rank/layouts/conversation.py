"""Prompts and answers as data sets write them: a text, messages, ShareGPT turns, system prompts, history."""

from typing import Any

from tasks.rank.layouts.item import Row, has
from tasks.rankings import Messages

ROLES = ("system", "user", "assistant")  # of the chat template
_SHAREGPT = {"human": "user", "gpt": "assistant"}


def messages(value: Any, key: str) -> Messages:
    """A text as one user turn, or turns: {"role", "content"}, {"from", "value"}. Raises ValueError."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise ValueError(f"`{key}` is neither a text nor a list of messages")
    return [_message(turn, key) for turn in value]


def _message(turn: Any, key: str) -> dict[str, str]:
    turn = turn if isinstance(turn, dict) else {}
    role = turn.get("role") or _SHAREGPT.get(turn.get("from") or "", turn.get("from"))
    content = turn.get("content") if turn.get("content") is not None else turn.get("value")
    if role not in ROLES or not isinstance(content, str) or not content.strip():
        raise ValueError(f"a message of `{key}` needs a role of {', '.join(ROLES)} and a content: {turn!r:.80}")
    return {"role": role, "content": content}


def prompt_of(row: Row, *keys: str) -> Messages:
    """The prompt under the first of the keys that the row has, behind its `system` and `history`.

    `input` is added to an `instruction` after a blank line; `history` holds [question, answer] pairs. Raises
    ValueError when a message is malformed, or the last turn is the assistant's.
    """
    key = next((name for name in keys if has(row, name)), keys[0])
    turns = messages(row.get(key), key)
    more = row.get("input")
    if key == "instruction" and isinstance(more, str) and more.strip():
        turns[-1] = {**turns[-1], "content": f"{turns[-1]['content']}\n\n{more}"}
    return ends_with_user(opening(row, turns), key)


def opening(row: Row, turns: Messages) -> Messages:
    """The turns, behind the row's `history`, behind its `system` unless they begin with a system turn."""
    before = [turn for pair in row.get("history") or [] for turn in _exchange(pair)]
    system = row.get("system")
    if isinstance(system, str) and system.strip() and turns[0]["role"] != "system":
        before = [{"role": "system", "content": system}, *before]
    return before + turns


def _exchange(pair: Any) -> Messages:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) and text.strip() for text in pair):
        raise ValueError(f"`history` holds something else than [question, answer]: {pair!r:.80}")
    return [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]


def ends_with_user(prompt: Messages, key: str) -> Messages:
    """The prompt itself. Raises ValueError when nobody asks at its end."""
    if prompt[-1]["role"] == "assistant":
        raise ValueError(f"`{key}` ends with an assistant turn")
    return prompt


def answer(value: Any, key: str) -> str:
    """An answer with something in it. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"`{key}` is not a text")
    if not value.strip():
        raise ValueError(f"`{key}` is empty")
    return value


def answers(values: Any, key: str) -> list[str]:
    """A list of answers with something in each. Raises ValueError."""
    if not isinstance(values, list):
        raise ValueError(f"`{key}` is not a list of texts")
    return [answer(value, f"{key}[{number}]") for number, value in enumerate(values)]


def plain(prompt: Messages) -> str | Messages:
    """One user turn as its text, anything else as messages."""
    return prompt[0]["content"] if alone(prompt) else prompt


def alone(prompt: Messages) -> bool:
    """Whether the prompt is one user turn."""
    return len(prompt) == 1 and prompt[0]["role"] == "user"
