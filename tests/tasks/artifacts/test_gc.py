"""Garbage collection: removes what nothing needs, and never what somebody may be using."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.artifacts import ArtifactRef, Store, collect, verify_store
from tasks.artifacts.holder import claims

Commit = Callable[..., ArtifactRef]
KEY, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture(params=["disk", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store(str(tmp_path / "store"))
    place = request.getfixturevalue("s3") if request.param == "s3" else "memory://plumbline"
    return Store(f"{place}/{tmp_path.name}", tmp_path)


def alive(store: Store) -> list[ArtifactRef]:
    return [ref for ref, _ in store.all_generations()]


def test_superseded_generations_go_unless_kept(store: Store, commit: Commit) -> None:
    one, two, three, four = (commit(store, {"a": data}) for data in (b"1", b"2", b"3", b"4"))
    report = collect(store, keep={two.digest, three}, dry_run=True)
    assert report.removed == [one.uri]
    assert alive(store) == [one, two, three, four]
    assert "would remove 1 items" in str(report)
    report = collect(store, keep={two.digest, three})
    assert report.removed == [one.uri]
    assert report.size > 0
    assert alive(store) == [two, three, four]
    collect(store)
    assert alive(store) == [four]
    assert verify_store(store) == []
    assert claims(store.files, KEY) == [4]


def test_kept_content_may_live_on_in_a_newer_generation(store: Store, commit: Commit) -> None:
    old, new = commit(store, {"a": b"same"}), commit(store, {"a": b"same"})
    collect(store, keep={old.digest})
    assert alive(store) == [new]
    assert (store.open(old) / "a").read_bytes() == b"same"


def test_unreferenced_only_when_asked(store: Store, commit: Commit) -> None:
    one, two = commit(store, {"a": b"1"}), commit(store, {"a": b"2"}, key=OTHER)
    collect(store, keep={one.digest})
    assert alive(store) == [one, two]
    collect(store, keep={one.digest}, unreferenced=True)
    assert alive(store) == [one]
    assert store.find("corpus", OTHER) is None
    assert store.manifest(commit(store, {"a": b"2"}, key=OTHER)).fence == 2  # the number is remembered


def test_nothing_is_taken_while_a_stage_is_being_made(store: Store, commit: Commit) -> None:
    old, new = commit(store, {"a": b"1"}), commit(store, {"a": b"2"})
    (store.work("ppo", OTHER) / "checkpoint").write_bytes(b"x")
    with store.lease("ppo", OTHER) as lease:
        out = store.stage_out(lease)
        (out / "half").write_bytes(b"x")
        report = collect(store, unreferenced=True)
        assert alive(store) == [old, new]
        assert (out / "half").exists()
        assert any(f"ppo is being made by process {os.getpid()}" in note for note in report.notes)
    assert (store.work("ppo", OTHER) / "checkpoint").exists()  # not committed: a rerun resumes from it
    collect(store)
    assert alive(store) == [new]
    assert not out.exists()
    assert (store.work("ppo", OTHER) / "checkpoint").exists()


def test_working_folders_of_committed_keys_go(store: Store, commit: Commit) -> None:
    commit(store, {"a": b"1"})
    (store.work("corpus", KEY) / "checkpoint").write_bytes(b"x")
    assert not collect(store, dry_run=True).notes
    assert (store.work("corpus", KEY) / "checkpoint").exists()
    collect(store)
    assert not (store.scratch / "work" / "corpus" / KEY).exists()


def test_old_scraps_and_trash_go_and_young_ones_stay(store: Store) -> None:
    for folder in ("tmp", "trash"):
        (store.scratch / folder).mkdir(parents=True, exist_ok=True)
    young, old = store.scratch / "tmp" / "file.1", store.scratch / "tmp" / "file.2"
    young.write_bytes(b"x")
    old.mkdir()
    (old / "a").write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    (store.scratch / "trash" / "t").mkdir()
    collect(store)
    assert young.exists()
    assert not old.exists()
    assert not (store.scratch / "trash" / "t").exists()


def test_broken_artifacts_go_after_their_days(store: Store, commit: Commit) -> None:
    store.set_aside(commit(store, {"a": b"1"}), "test")
    assert not collect(store, broken_days=1).removed
    assert len(store.files.names("broken")) == 1
    time.sleep(1.1)  # S3 keeps whole seconds
    assert len(collect(store, broken_days=0).removed) == 1
    assert store.files.names("broken") == []


def test_the_newest_stays_when_it_is_unreadable(tmp_path: Path, commit: Commit) -> None:
    """An older whole generation is what find() gives, so it is not superseded."""
    store = Store(str(tmp_path / "store"))
    one, two = commit(store, {"a": b"1"}), commit(store, {"a": b"2"})
    (Path(two.uri) / "manifest.json").write_bytes(b"{")
    collect(store)
    assert store.find("corpus", KEY) == one
    store.verify(one)
