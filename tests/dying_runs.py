"""For tests of resume: a run that dies after a given step, its folders, and their bytes."""

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


def new_folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
