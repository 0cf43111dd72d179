"""Rows of instruction data to conversations; what cannot be used is handed on with its line and the reason."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema.sources import InstructionSource
from tasks.chat import ROLES
from tasks.failures import BadData
from tasks.formats import read_rows

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Unusable:
    """A row that gives no conversation. file: its name, without folders. line: from 1."""

    file: str
    line: int
    error: str


def read_source(source: InstructionSource, files: list[Path], seed: int) -> tuple[list[Messages], list[Unusable]]:
    """Conversations of one source, each ending with the assistant, and the rows that are none.

    The first ``skip_rows`` rows are left out; with ``max_examples`` a seeded choice is taken, in the order of the
    file. Raises BadData when the rows fit no format.
    """
    usable: list[Messages] = []
    unusable: list[Unusable] = []
    for item in _read(source, files):
        if isinstance(item, Unusable):
            unusable.append(item)
        else:
            usable.append(item)
    if source.max_examples is not None and len(usable) > source.max_examples:
        chosen = random.Random(f"{seed}/examples").sample(range(len(usable)), source.max_examples)
        usable = [usable[index] for index in sorted(chosen)]
    return usable, unusable


def _read(source: InstructionSource, files: list[Path]) -> Iterator[Messages | Unusable]:
    seen = 0
    for file in files:
        reader = READERS[source.format] if source.format != "auto" else None
        for line, row, error in read_rows(file, "auto"):
            seen += 1
            if seen <= source.skip_rows:
                continue
            if row is None:
                yield Unusable(file.name, line, error)
                continue
            reader = reader or READERS[_detect(row, f"{file.name}:{line}")]
            try:
                yield reader(row)
            except ValueError as problem:
                yield Unusable(file.name, line, str(problem))


def _detect(row: dict[str, Any], where: str) -> str:
    if "messages" in row:
        return "messages"
    if {"instruction", "output"} <= row.keys():
        return "alpaca"
    raise BadData(
        f"{where}: keys {', '.join(sorted(row)) or '(none)'} are no known format: messages, or instruction, input, "
        "output; convert the file or set `format` of the source in finetune.sources"
    )


def messages_row(row: dict[str, Any]) -> Messages:
    """A conversation. Raises ValueError that says what is missing."""
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("no messages")
    found = []
    for number, message in enumerate(messages, start=1):
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if role not in ROLES:
            raise ValueError(f"message {number} has role {role!r}, expected one of {', '.join(ROLES)}")
        if not isinstance(content, str) or not content.strip():
            raise ValueError(f"message {number} ({role}) has no text")
        found.append({"role": role, "content": content})
    roles = [message["role"] for message in found]
    if "user" not in roles or roles.index("user") > roles.index(roles[-1]) or roles[-1] != "assistant":
        raise ValueError("not a user turn that is followed by an assistant turn at the end")
    return found


def alpaca_row(row: dict[str, Any]) -> Messages:
    """Instruction, and input after a blank line, as the user; output as the assistant. Raises ValueError."""
    instruction, given, output = (row.get(name) or "" for name in ("instruction", "input", "output"))
    if not all(isinstance(text, str) for text in (instruction, given, output)):
        raise ValueError("instruction, input or output is not text")
    if not instruction.strip():
        raise ValueError("empty instruction")
    if not output.strip():
        raise ValueError("empty output")
    prompt = f"{instruction}\n\n{given}" if given.strip() else instruction
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": output}]


READERS: dict[str, Callable[[dict[str, Any]], Messages]] = {"messages": messages_row, "alpaca": alpaca_row}
