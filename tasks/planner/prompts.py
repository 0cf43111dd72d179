"""Lengths of prompts before anything runs: the recipe's files and the tokenizer's, without transformers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from tokenizers import Tokenizer

from configs.schema.ppo import PPOConfig
from configs.schema.sources import PromptSource
from tasks.formats import read_rows
from tasks.prompts import prompt_text

READ = 512  # prompts that are encoded
MARKERS = re.compile(r"<\|[a-z_]+\|>")


@dataclass(frozen=True)
class Prompts:
    """Tokens of the longest prompt of a batch, in the mean; held-out prompts."""

    longest: int
    heldout: int


def prompt_lengths(config: PPOConfig, train: list[Path], heldout: list[Path], tokenizer: Path) -> Prompts | None:
    """Of the first prompts that are not too long; None when there is none. ``tokenizer``: its folder."""
    inner = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    texts = [text for row in _rows(config.prompts, train) if (text := _turns(row, config.prompts.field))]
    first = [_length(inner, turns) for turns in texts[:READ]]
    lengths = [length for length in first if length <= config.max_prompt_tokens]
    if not lengths:
        return None
    batches = [lengths[at : at + config.batch] for at in range(0, len(lengths), config.batch)]
    whole = [batch for batch in batches if len(batch) == config.batch] or [lengths]
    apart = config.heldout
    measured = max(1, len(texts) // 10) if apart is None else sum(1 for _ in _rows(apart, heldout))
    return Prompts(round(fmean(max(batch) for batch in whole)), measured)


def _rows(source: PromptSource, files: list[Path]) -> Iterator[dict[str, Any]]:
    rows = (row for file in files for _, row, _ in read_rows(file, "auto") if row is not None)
    last = None if source.max_prompts is None else source.skip_rows + source.max_prompts
    return islice(rows, source.skip_rows, last)


def _turns(row: dict[str, Any], field: str) -> list[str]:
    """Texts of a prompt's turns."""
    given = row.get(field)
    if isinstance(given, list):
        return [str(turn.get("content", "")) for turn in given if isinstance(turn, dict)]
    text = prompt_text(row, field)
    return [text] if text is not None else []


def _length(inner: Tokenizer, turns: list[str]) -> int:
    """In the chat template (tasks/chat.py): marker, role and newline, text, marker, newline; then the assistant's."""

    def count(text: str) -> int:
        return len(inner.encode(MARKERS.sub(" ", text), add_special_tokens=False).ids)

    around = 2 + count("user\n") + count("\n")
    return sum(count(text) + around for text in turns) + 1 + count("assistant\n")
