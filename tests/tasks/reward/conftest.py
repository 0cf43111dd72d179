"""Fixtures of the reward tests: tiny models, toy rankings, and a call of the stage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_parts import save_models
from toy_rankings import toy, train_toy

from tasks.rankings import write_rankings

Run = Callable[..., tuple[dict[str, Any], Path]]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = save_models(tmp_path_factory.mktemp("llama"))
    found["rankings"] = tmp_path_factory.mktemp("rankings")
    write_rankings(found["rankings"], "train", toy(48))
    write_rankings(found["rankings"], "heldout", toy(24, first=100))
    return found


@pytest.fixture
def run(tmp_path: Path, folders: dict[str, Path]) -> Run:
    """run(name, work, folders to change, settings): metrics, and the artifact's folder."""
    tiny = folders

    def start(
        name: str = "out", work: str = "work", folders: dict[str, Path] | None = None, **settings: Any
    ) -> tuple[dict[str, Any], Path]:
        return train_toy(tmp_path, name, work, {**tiny, **(folders or {})}, **settings), tmp_path / name

    return start
