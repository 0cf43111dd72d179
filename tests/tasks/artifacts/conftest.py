"""A store in an empty folder, and a short way to commit a few files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.artifacts import ArtifactRef, Draft, Store

Commit = Callable[..., ArtifactRef]
KEY = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def commit() -> Commit:
    def commit(store: Store, files: dict[str, bytes], stage: str = "corpus", key: str = KEY) -> ArtifactRef:
        with store.lease(stage, key) as lease:
            out = store.stage_out(lease)
            for name, data in files.items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(data)
            return store.commit(out, Draft(stage=stage, version=1, kind="text", key=key), lease)

    return commit
