"""For tests of resume: a run that dies, or is asked to stop, after a given step; its folders, and their bytes."""

import os
import signal
from pathlib import Path

from tasks.live import Live


class Killed(Exception):
    """Stands for a process that dies."""


class DiesAt(Live):
    """Dies when a step has been finished."""

    at = 0

    def progress(self, done: int, total: int, unit: str, **values: float) -> None:
        if done == self.at:
            raise Killed


class StopsAt(DiesAt):
    """Is asked to stop, by SIGTERM, when a step has been finished."""

    def progress(self, done: int, total: int, unit: str, **values: float) -> None:
        if done == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def new_folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
