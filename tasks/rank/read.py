"""Rows of a data set of rankings to ranked prompts; what cannot be read is handed on with its line and reason."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema.sources import RankingSource
from tasks.failures import BadData
from tasks.formats import read_rows
from tasks.rank.own import read_own
from tasks.rankings import Messages, RankedPrompt, Ranking, ranked_prompt

_TURN = re.compile(r"\n\n(Human|Assistant):")
_SPEAKER = {"Human": "user", "Assistant": "assistant"}
_OASST = {"prompter": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class Rejected:
    """A row that gives no ranking. file: its name, without folders. line: from 1."""

    file: str
    line: int
    error: str


def read_source(source: RankingSource, files: list[Path]) -> Iterator[RankedPrompt | Rejected]:
    """Every ranked prompt and every rejected row of one source, in the order of files and lines.

    With ``format: auto`` the keys of the first sound row of a file decide. Raises BadData when they fit no format.
    """
    for file in files:
        reader = READERS[source.format] if source.format != "auto" else None
        for line, row, error in read_rows(file, "auto"):
            if row is None:
                yield Rejected(file.name, line, error)
                continue
            reader = reader or READERS[detect(row, f"{file.name}:{line}")]
            try:
                yield from list(reader(row, file.name))
            except ValueError as problem:
                yield Rejected(file.name, line, str(problem))


def detect(row: dict[str, Any], where: str) -> str:
    """Format of a row by its keys: rankings, hh or oasst. Raises BadData that names the keys."""
    if {"prompt", "candidates", "ranks"} <= row.keys():
        return "rankings"
    if {"chosen", "rejected"} <= row.keys() and isinstance(row["chosen"], str):
        return "hh"
    if isinstance(row.get("prompt"), dict) and "replies" in row["prompt"]:
        return "oasst"
    raise BadData(
        f"{where}: keys {', '.join(sorted(row)) or '(none)'} are no known format: rankings (prompt, candidates, "
        "ranks), hh (chosen, rejected transcripts), oasst (prompt with replies); convert the file or set `format` "
        "of the source"
    )


def read_ranking(row: dict[str, Any], source: str) -> Iterator[RankedPrompt]:
    """{"prompt", "candidates", "ranks", …}: our own format, see own.py."""
    yield read_own(row, source)


def read_hh(row: dict[str, Any], source: str) -> Iterator[RankedPrompt]:
    """{"chosen", "rejected"}: transcripts of Human and Assistant that differ in the last reply (Bai et al. 2022)."""
    chosen, rejected = transcript(row.get("chosen"), "chosen"), transcript(row.get("rejected"), "rejected")
    if chosen[:-1] != rejected[:-1]:
        raise ValueError("chosen and rejected have different prompts")
    texts = [chosen[-1]["content"], rejected[-1]["content"]]
    if not all(texts):
        raise ValueError(f"the last reply of {'chosen' if not texts[0] else 'rejected'} is empty")
    if any(not turn["content"] for turn in chosen[:-1]):
        raise ValueError("a turn of the prompt is empty")
    yield ranked_prompt(chosen[:-1], texts, [Ranking([1, 2], origin=source)])


def transcript(text: Any, key: str) -> Messages:
    """Turns of "\\n\\nHuman: …\\n\\nAssistant: …". Raises ValueError unless Human begins and Assistant ends it."""
    if not isinstance(text, str):
        raise ValueError(f"`{key}` is not a text")
    before, *rest = _TURN.split(text)
    if before.strip() or not rest or rest[0] != "Human":
        raise ValueError(f"`{key}` does not begin with a Human turn")
    turns = [
        {"role": _SPEAKER[speaker], "content": said.strip()}
        for speaker, said in zip(rest[::2], rest[1::2], strict=True)
    ]
    if turns[-1]["role"] != "assistant" or len(turns) < 2:
        raise ValueError(f"`{key}` does not end with an Assistant turn")
    return turns


def read_oasst(row: dict[str, Any], source: str) -> Iterator[RankedPrompt]:
    """A message tree: each prompter message with at least two ranked replies is one K-way ranking.

    The prompt is the path of messages from the root. Replies without a rank, or deleted, are left out.
    """
    root = row.get("prompt")
    if not isinstance(root, dict):
        raise ValueError("`prompt` is not the root of a message tree")
    waiting = [(root, [_turn(root)])]
    while waiting:
        node, path = waiting.pop()
        replies = _replies(node)
        waiting += [(reply, [*path, _turn(reply)]) for reply in reversed(replies)]
        ranked = [reply for reply in replies if reply.get("role") == "assistant" and isinstance(reply.get("rank"), int)]
        if path[-1]["role"] == "user" and len(ranked) >= 2:
            texts, ranks = [reply["text"] for reply in ranked], [reply["rank"] for reply in ranked]
            yield ranked_prompt(path, texts, [Ranking.of(ranks, origin=source)])


def _replies(node: dict[str, Any]) -> list[dict[str, Any]]:
    replies = node.get("replies") or []
    if not isinstance(replies, list) or not all(isinstance(reply, dict) for reply in replies):
        raise ValueError(f"`replies` of message {node.get('message_id')!r} is not a list of messages")
    return [reply for reply in replies if not reply.get("deleted")]


def _turn(node: dict[str, Any]) -> dict[str, str]:
    role, text = _OASST.get(node.get("role", "")), node.get("text")
    if role is None or not isinstance(text, str) or not text.strip():
        raise ValueError(f"message {node.get('message_id')!r} has role {node.get('role')!r} and text {text!r:.40}")
    return {"role": role, "content": text}


READERS: dict[str, Callable[[dict[str, Any], str], Iterator[RankedPrompt]]] = {
    "rankings": read_ranking,
    "hh": read_hh,
    "oasst": read_oasst,
}
