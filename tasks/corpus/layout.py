"""What a row holds: plain text, a page, or a conversation: the filters see its transcript, and its turns are kept."""

import json
from typing import Any

from configs.schema.sources import TextSource
from tasks.corpus.mojibake import repair_values
from tasks.corpus.normalise import normalise
from tasks.formats.main_text import main_text

ROLES = ("system", "user", "assistant")
PLAIN = ("txt", "lines")  # formats whose rows are nothing but text
CRAWLED = ("url", "date")  # what the rows of WARC files know of their pages


class Unreadable(Exception):
    """A row without a document in it; the message is the reason."""


class Textless(Unreadable):
    """The row lacks the key that every row of the source should have."""


def read_row(row: dict[str, Any], source: TextSource, format: str) -> tuple[str, dict[str, Any]]:
    """Normalised text and metadata of a row of a file in this format.

    Raises Unreadable with the reason when it has none.
    """
    if source.mojibake:
        row = repair_values(row)
    metadata = _metadata(row, source)
    for name in dict.fromkeys([*source.metadata, *(CRAWLED if format == "warc" else ())]):
        value = look_up(row, source.fields.get(name, name))
        if value is not None:
            metadata[name] = json.loads(json.dumps(value, default=str))
    if format in ("html", "warc"):
        return (_page(row, "html", source) if "html" in row else _text(row, "text")), metadata
    if format in PLAIN:
        return _text(row, "text"), metadata
    if source.layout == "html":
        return _page(row, source.fields.get("html", "html"), source), metadata
    if source.layout == "messages":
        name = source.fields.get("messages", "messages")
        metadata["messages"] = _messages(_needed(row, name), name)
    elif source.layout == "alpaca":
        metadata["messages"] = _alpaca(row, source)
    else:
        if "messages" in metadata:
            metadata["messages"] = _messages(metadata["messages"], "metadata.messages")
        return _text(row, source.fields.get("text", source.text_field)), metadata
    return "\n".join(message["content"] for message in metadata["messages"]), metadata


def given_id(row: dict[str, Any], source: TextSource) -> str | None:
    """The id that the row itself has, or None."""
    value = look_up(row, source.fields.get("id", "id"))
    known = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    return str(value) if known else None


def look_up(row: dict[str, Any], name: str) -> Any:
    """Value of a key, or of a nested one: ``meta.url`` is the key of this name, else ``url`` in ``meta``."""
    if name in row:
        return row[name]
    first, dot, rest = name.partition(".")
    inner = row.get(first) if dot else None
    return look_up(inner, rest) if isinstance(inner, dict) else None


def _text(row: dict[str, Any], name: str) -> str:
    text = _needed(row, name)
    if not isinstance(text, str):
        raise Unreadable(f"{name!r} is not text but {type(text).__name__}")
    text = normalise(text)
    if not text:
        raise Unreadable(f"{name!r} is empty")
    return text


def _page(row: dict[str, Any], name: str, source: TextSource) -> str:
    """The main text of the page under a key."""
    html = _needed(row, name)
    if not isinstance(html, str):
        raise Unreadable(f"{name!r} is not text but {type(html).__name__}")
    try:
        text = normalise(main_text(html, source.extractor))
    except (ValueError, RecursionError, RuntimeError) as error:
        raise Unreadable(f"{source.extractor} cannot read the page: {error}") from error
    if not text:
        raise Unreadable("the page has no main text")
    return text


def _needed(row: dict[str, Any], name: str) -> Any:
    value = look_up(row, name)
    if value is None:
        raise Textless(f"no {name!r}")
    return value


def _metadata(row: dict[str, Any], source: TextSource) -> dict[str, Any]:
    """The row's metadata as a new dict: given as an object, as its JSON text (our own shards), or not at all."""
    value = look_up(row, source.fields.get("metadata", "metadata"))
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


def _alpaca(row: dict[str, Any], source: TextSource) -> list[dict[str, str]]:
    """Instruction, input and output (Taori et al. 2023) as two turns; the input follows after a blank line."""
    named = {name: source.fields.get(name, name) for name in ("instruction", "input", "output")}
    instruction = _text(row, named["instruction"])
    given = look_up(row, named["input"]) or ""
    if not isinstance(given, str):
        raise Unreadable(f"{named['input']!r} is not text but {type(given).__name__}")
    prompt = f"{instruction}\n\n{normalise(given)}".rstrip()
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": _text(row, named["output"])}]
