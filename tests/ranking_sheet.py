"""A sheet to rank."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

MakeSheet = Callable[..., Path]


@pytest.fixture
def make_sheet(tmp_path: Path) -> MakeSheet:
    """make_sheet(prompts, candidates): a sheet in a folder of its own."""

    def made(prompts: int = 3, candidates: int = 3) -> Path:
        rows = [
            {"prompt": f"q{n}", "candidates": [f"answer {n}-{k}" for k in range(candidates)], "ranks": []}
            for n in range(prompts)
        ]
        file = tmp_path / "candidates.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return file

    return made
