"""Digests of raw files: remembered, and never wrong when a file changed."""

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import pytest

from tasks.artifacts import Store
from tasks.artifacts.sources import SourceDigests
from tasks.failures import BadData


def old_file(path: Path, data: bytes, seconds: float = 100.0) -> Path:
    path.write_bytes(data)
    past = time.time() - seconds
    os.utime(path, (past, past))
    return path


def hashed_files(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Names of the files that are really read from here on."""
    seen: list[Path] = []

    def count(path: Path) -> str:
        seen.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("tasks.artifacts.sources.sha256_file", count)
    return seen


def test_hashed_once_and_remembered_by_the_next_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_file(tmp_path / "a.txt", b"hello")
    seen = hashed_files(monkeypatch)
    root = str(tmp_path / "store")
    entries = [Store(root).digest_source(path) for _ in range(3)]
    assert len(seen) == 1
    assert entries[0] == entries[1] == entries[2]
    assert (entries[0].name, entries[0].size) == ("a.txt", 5)
    assert entries[0].sha256 == hashlib.sha256(b"hello").hexdigest()
    assert list(json.loads((tmp_path / "store" / "source-digests.json").read_text(encoding="utf-8"))) == [str(path)]


def test_a_change_of_size_time_or_inode_is_seen(tmp_path: Path) -> None:
    digests = SourceDigests(tmp_path / "d.json")
    path = old_file(tmp_path / "a.txt", b"hello")
    before = path.stat().st_mtime
    seen = {digests.digest(path).sha256}
    old_file(path, b"hellO", seconds=50)
    seen.add(digests.digest(path).sha256)
    old_file(tmp_path / "b.txt", b"HELLO").replace(path)  # another file in its place
    os.utime(path, (before, before))
    seen.add(digests.digest(path).sha256)
    assert len(seen) == 3


def test_a_file_seconds_old_is_never_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes within one tick of the clock look the same to the file system."""
    digests = SourceDigests(tmp_path / "d.json")
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    status = path.stat()
    first = digests.digest(path).sha256
    path.write_bytes(b"hellO")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests.digest(path).sha256 != first


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_file(tmp_path / "a.txt", b"hello")

    def grow(file: Path) -> str:
        file.write_bytes(b"hello world")
        return "0" * 64

    monkeypatch.setattr("tasks.artifacts.sources.sha256_file", grow)
    with pytest.raises(BadData, match="changed while it was read \\(5 → 11 bytes\\)"):
        SourceDigests(tmp_path / "d.json").digest(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"gone\.txt cannot be read"):
        SourceDigests(tmp_path / "d.json").digest(tmp_path / "gone.txt")


@pytest.mark.parametrize("text", ["", "[1]", '{"x": 1}', '{"x": [1, 2]}', "\x00"])
def test_a_spoiled_cache_costs_only_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "d.json").write_text(text, encoding="utf-8")
    path = old_file(tmp_path / "a.txt", b"hello")
    assert SourceDigests(tmp_path / "d.json").digest(path).sha256 == hashlib.sha256(b"hello").hexdigest()


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    paths = [old_file(tmp_path / f"{number}.txt", b"%d" % number) for number in range(40)]

    def work(part: list[Path]) -> None:
        digests = SourceDigests(tmp_path / "d.json")
        for path in part:
            digests.digest(path)
            digests.save()

    threads = [threading.Thread(target=work, args=(paths[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    assert set(rows) == {str(path) for path in paths}


def test_many_small_files_are_saved_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = SourceDigests(tmp_path / "d.json")
    saves: list[float] = []
    save = digests.save
    monkeypatch.setattr(digests, "save", lambda: (saves.append(time.monotonic()), save())[1])
    begin = time.monotonic()
    for number in range(200):
        digests.digest(old_file(tmp_path / f"{number}.txt", b"x"))
    assert len(saves) <= 2 + (time.monotonic() - begin)
    digests.save()
    assert len(json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))) == 200
