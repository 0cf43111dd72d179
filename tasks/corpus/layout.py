"""What a row holds: plain text, or a conversation, whose transcript the filters see and whose turns are kept."""

import json
from typing import Any

from configs.schema.sources import TextSource
from tasks.corpus.mojibake import repair_values
from tasks.corpus.normalise import normalise

ROLES = ("system", "user", "assistant")


class Unreadable(Exception):
    """A row without a document in it; the message is the reason."""


class Textless(Unreadable):
    """The row lacks the key that every row of the source should have."""


def read_row(row: dict[str, Any], source: TextSource, text_field: str) -> tuple[str, dict[str, Any]]:
    """Normalised text and metadata of a row. Raises Unreadable with the reason when it has none."""
    if source.mojibake:
        row = repair_values(row)
    metadata = _metadata(row)
    if source.layout == "messages":
        metadata["messages"] = _messages(_needed(row, "messages"), "messages")
    elif source.layout == "alpaca":
        metadata["messages"] = _alpaca(row)
    else:
        if "messages" in metadata:
            metadata["messages"] = _messages(metadata["messages"], "metadata.messages")
        return _text(row, text_field), metadata
    return "\n".join(message["content"] for message in metadata["messages"]), metadata


def _text(row: dict[str, Any], name: str) -> str:
    text = _needed(row, name)
    if not isinstance(text, str):
        raise Unreadable(f"{name!r} is not text but {type(text).__name__}")
    text = normalise(text)
    if not text:
        raise Unreadable(f"{name!r} is empty")
    return text


def _needed(row: dict[str, Any], name: str) -> Any:
    value = row.get(name)
    if value is None:
        raise Textless(f"no {name!r}")
    return value


def _metadata(row: dict[str, Any]) -> dict[str, Any]:
    """The row's metadata as a new dict: given as an object, as its JSON text (our own shards), or not at all."""
    value = row.get("metadata")
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise Unreadable(f"'metadata' is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unreadable(f"'metadata' is not an object but {type(value).__name__}")
    return dict(value)


def _messages(messages: Any, name: str) -> list[dict[str, str]]:
    """The turns of a conversation with their text in normal form."""
    if not isinstance(messages, list) or not messages:
        raise Unreadable(f"{name!r} is not a list of turns")
    turns = []
    for number, message in enumerate(messages, start=1):
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if role not in ROLES or not isinstance(content, str):
            raise Unreadable(f"{name!r}: turn {number} needs a role of {', '.join(ROLES)} and content that is text")
        turns.append({"role": role, "content": normalise(content)})
    if not any(turn["content"] for turn in turns if turn["role"] == "assistant"):
        raise Unreadable(f"{name!r}: the assistant says nothing")
    return turns


def _alpaca(row: dict[str, Any]) -> list[dict[str, str]]:
    """Instruction, input and output (Taori et al. 2023) as two turns; the input follows after a blank line."""
    instruction = _text(row, "instruction")
    given = row.get("input") or ""
    if not isinstance(given, str):
        raise Unreadable(f"'input' is not text but {type(given).__name__}")
    prompt = f"{instruction}\n\n{normalise(given)}".rstrip()
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": _text(row, "output")}]
