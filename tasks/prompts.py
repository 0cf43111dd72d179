"""Prompts without answers, from JSON lines."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from configs.schema.sources import PromptSource
from tasks.failures import BadData
from tasks.formats import read_rows


def read_prompts(config: PromptSource, files: list[Path]) -> list[str]:
    """Prompt texts in the order of the files and lines, without the first ``skip_rows`` rows; with ``max_prompts``, the
    first so many.

    A row holds its prompt under ``config.field``; a row without that key may be Alpaca's, whose prompt is the
    instruction and, when there is one, the input after a blank line.

    Raises BadData with file and line when a row has no prompt, and when there is no row at all.
    """
    rows = islice(_rows(files), config.skip_rows, None)
    prompts = list(islice(_texts(config, rows), config.max_prompts))
    if not prompts:
        names = ", ".join(file.name for file in files) or config.path
        raise BadData(f"{names}: no prompts; name another file in the `path` of the prompts")
    return prompts


def prompt_text(row: dict[str, Any], field: str) -> str | None:
    """The prompt of one row, or None when it holds none that is not blank."""
    text = row.get(field)
    if text is None and isinstance(row.get("instruction"), str):
        given = row.get("input")
        has_input = isinstance(given, str) and bool(given.strip())
        text = f"{row['instruction']}\n\n{given}" if has_input else row["instruction"]
    return text if isinstance(text, str) and text.strip() else None


def _rows(files: list[Path]) -> Iterator[tuple[str, dict[str, Any] | None, str]]:
    """Where a row stands, the row, and what is wrong with it."""
    for file in files:
        for line, row, error in read_rows(file, "auto"):
            yield f"{file.name}:{line}", row, error


def _texts(config: PromptSource, rows: Iterator[tuple[str, dict[str, Any] | None, str]]) -> Iterator[str]:
    for where, row, error in rows:
        if row is None:
            raise BadData(f"{where}: {error}; correct or delete the line")
        text = prompt_text(row, config.field)
        if text is None:
            keys = ", ".join(sorted(row)) or "none"
            raise BadData(f"{where}: no text under {config.field!r} (keys: {keys}); set `field` of the prompts")
        yield text
