"""Which code and libraries made an artifact."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tasks.artifacts import provenance


def checkout(folder: Path) -> str:
    """A repository with one commit; returns its hash."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks" / "a.py").write_text("x = 1\n", encoding="utf-8")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    found = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def code(monkeypatch: pytest.MonkeyPatch, root: Path) -> str:
    monkeypatch.setattr(provenance, "ROOT", root)
    return provenance.environment.__wrapped__()["code"]


def test_commit_and_whether_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = checkout(tmp_path)
    assert code(monkeypatch, tmp_path) == commit
    (tmp_path / "notes.txt").write_text("not code", encoding="utf-8")
    assert code(monkeypatch, tmp_path) == commit
    (tmp_path / "tasks" / "a.py").write_text("x = 2\n", encoding="utf-8")
    assert code(monkeypatch, tmp_path) == f"{commit}+dirty"


def test_a_copy_inside_a_foreign_repository_does_not_take_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = checkout(tmp_path)
    inside = tmp_path / "venv" / "site-packages"
    inside.mkdir(parents=True)
    assert commit not in code(monkeypatch, inside)


def test_versions_without_imports() -> None:
    packages = provenance.environment()["packages"]
    assert packages["torch"] == version("torch")
    assert packages["trl"] == version("trl")
    program = "import sys; from tasks.artifacts import environment; environment(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
