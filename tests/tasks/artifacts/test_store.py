"""The store on a disk: round trips, verification, generations, and every prefix of a commit."""

import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.artifacts import ArtifactRef, BrokenArtifact, Draft, LeaseLost, Store, verify_store
from tasks.failures import BadConfig, StageFailure

Commit = Callable[..., ArtifactRef]
KEY = "ab" * 32
part = st.text("abcé *?[]", min_size=1, max_size=4).map(lambda name: f"n{name}")
trees = st.dictionaries(
    st.lists(part, min_size=1, max_size=3).map("/".join), st.binary(max_size=200), min_size=1, max_size=6
).filter(lambda tree: not any(a.startswith(f"{b}/") for a in tree for b in tree))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(store: Store, files: dict[str, bytes]) -> ArtifactRef:
    with store.lease("corpus", KEY) as lease:
        out = store.stage_out(lease)
        for name, data in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(data)
        return store.commit(out, Draft(stage="corpus", version=1, kind="text", key=KEY), lease)


@settings(max_examples=25, deadline=None)
@given(trees, trees)
def test_round_trip_and_old_references_stay_readable(files: dict[str, bytes], later: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        first = put(store, files)
        assert store.find("corpus", KEY) == first
        assert content(store.open(first)) == files
        second = put(store, later)
        assert store.find("corpus", KEY) == second
        assert (second.digest == first.digest) == (files == later)
        assert content(store.open(second)) == later
        assert content(Store(folder).open(first)) == files
        assert [ref for ref, _ in store.refs()] == [second]
        assert [ref for ref, _ in store.all_generations()] == [first, second]
        assert verify_store(store) == []


def test_manifest_says_what_the_draft_said_and_more(store: Store) -> None:
    draft = Draft(
        stage="reward", version=3, kind="model", key=KEY, config={"lr": 1e-4, "x": [1, None]}, seed=7, device="cpu",
        metrics={"accuracy": 0.75, "loss": float("inf")}, started="2026-01-01T00:00:00Z", seconds=1.5,
    )  # fmt: skip
    with store.lease("reward", KEY) as lease:
        out = store.stage_out(lease)
        (out / "a.json").write_text("{}", encoding="utf-8")
        ref = store.commit(out, draft, lease)
    manifest = store.manifest(ref)
    assert {name: getattr(manifest, name) for name in ("stage", "version", "config", "seed", "device", "seconds")} == {
        name: getattr(draft, name) for name in ("stage", "version", "config", "seed", "device", "seconds")
    }
    assert manifest.metrics["accuracy"] == 0.75
    assert manifest.packages["python"].startswith(f"{sys.version_info.major}.")
    assert manifest.fence == 1
    text = (Path(ref.uri) / "manifest.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def flip(folder: Path) -> None:
    data = bytearray((folder / "a.txt").read_bytes())
    data[3] ^= 1
    (folder / "a.txt").write_bytes(bytes(data))


def swap_for_link(folder: Path) -> None:
    (folder / "a.txt").rename(folder.parent / "elsewhere")
    (folder / "a.txt").symlink_to(folder.parent / "elsewhere")


def forge_digest(folder: Path) -> None:
    path = folder.parent / "manifest.json"
    row = json.loads(path.read_text(encoding="utf-8"))
    row["files"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(row), encoding="utf-8")


def climb_out(folder: Path) -> None:
    path = folder.parent / "manifest.json"
    row = json.loads(path.read_text(encoding="utf-8"))
    row["files"][0]["path"] = "../manifest.json"
    path.write_text(json.dumps(row), encoding="utf-8")


BREAKS: list[tuple[Callable[[Path], Any], str]] = [
    (flip, r"a\.txt: expected sha256 \w{64}, found \w{64}"),
    (lambda folder: (folder / "a.txt").write_bytes(b"short"), r"a\.txt: expected 11 bytes, found 5 bytes"),
    (lambda folder: (folder / "a.txt").unlink(), r"a\.txt: expected 11 bytes, found no such file"),
    (lambda folder: (folder / "z.txt").write_bytes(b"new"), r"z\.txt: expected no such file, found 3 bytes"),
    (lambda folder: (folder / "b" / "c.txt").rename(folder / "c.txt"), r"b/c\.txt: expected 2 bytes, found no such"),
    (swap_for_link, r"a\.txt: expected 11 bytes, found a link"),
    (forge_digest, r"manifest says digest \w{64}, its files give \w{64}"),
    (climb_out, r"manifest names '\.\./manifest\.json', expected a path inside content/"),
]


@pytest.mark.parametrize(("damage", "message"), BREAKS)
def test_every_damage_is_named(store: Store, damage: Callable[[Path], Any], message: str) -> None:
    ref = put(store, {"a.txt": b"hello world", "b/c.txt": b"yo"})
    store.verify(ref)
    damage(Path(ref.uri) / "content")
    for look in (store.verify, store.open):
        with pytest.raises(BrokenArtifact, match=message):
            look(ref)
    assert len(verify_store(store)) == 1


def test_open_sees_a_change_after_it_was_settled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = put(store, {"a.txt": b"hello world"})
    monkeypatch.setattr("tasks.artifacts.state.SETTLED_SECONDS", -1.0)
    hashed: list[Path] = []
    real = store.files.sha256
    monkeypatch.setattr(store.files, "sha256", lambda path: hashed.append(path) or real(path))
    store.open(ref)
    store.open(ref)
    assert len(hashed) == 1
    path = Path(ref.uri) / "content" / "a.txt"
    before = path.stat()
    path.write_bytes(b"hello worlD")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the time of modification can be forged
    with pytest.raises(BrokenArtifact):
        store.open(ref)


def test_a_broken_generation_is_set_aside_and_the_one_before_counts(store: Store) -> None:
    first, second = put(store, {"a": b"1"}), put(store, {"a": b"2"})
    (Path(second.uri) / "content" / "a").write_bytes(b"3")
    store.set_aside(second, "a: expected 2")
    store.set_aside(second, "again")
    assert store.find("corpus", KEY) == first
    (aside,) = (Path(store.root) / "broken").iterdir()
    assert (aside / "content" / "a").read_bytes() == b"3"
    assert json.loads((aside / "why.json").read_text(encoding="utf-8"))["why"] == "a: expected 2"
    third = put(store, {"a": b"2"})
    assert store.manifest(third).fence == 3
    assert content(store.open(second)) == {"a": b"2"}  # same content, made again


def test_a_half_written_manifest_makes_no_artifact(store: Store) -> None:
    ref = put(store, {"a": b"1"})
    path = Path(ref.uri) / "manifest.json"
    path.write_bytes(path.read_bytes()[:-20])
    assert store.find("corpus", KEY) is None
    with pytest.raises(BrokenArtifact, match="expected a whole manifest"):
        store.verify(ref)
    assert "expected a whole manifest" in verify_store(store)[0]
    assert store.manifest(put(store, {"a": b"1"})).fence == 2


def test_altered_references_are_refused(store: Store) -> None:
    ref = put(store, {"a": b"1"})
    with pytest.raises(BrokenArtifact, match=f"digest expected {'0' * 64}, found {ref.digest}"):
        store.open(ref.model_copy(update={"digest": "0" * 64}))
    with pytest.raises(BrokenArtifact, match="not a place of key"):
        store.open(ref.model_copy(update={"key": "0" * 64}))
    with pytest.raises(BrokenArtifact):
        store.open(ref.model_copy(update={"uri": "/etc"}))


def test_a_moved_store_still_serves_its_references(store: Store, tmp_path: Path) -> None:
    ref = put(store, {"a": b"1"})
    Path(store.root).rename(tmp_path / "moved")
    assert content(Store(str(tmp_path / "moved")).open(ref)) == {"a": b"1"}


def test_work_outlives_attempts_and_goes_when_told(store: Store) -> None:
    (store.work("ppo", KEY) / "checkpoint").write_bytes(b"x")
    assert (store.work("ppo", KEY) / "checkpoint").read_bytes() == b"x"
    store.clear_work("ppo", KEY)
    assert not list(store.work("ppo", KEY).iterdir())


def test_refusals(store: Store) -> None:
    draft = Draft(stage="corpus", version=1, kind="text", key=KEY)
    with store.lease("corpus", KEY) as lease:
        with pytest.raises(StageFailure, match="wrote no file"):
            store.commit(store.stage_out(lease), draft, lease)
        with pytest.raises(StageFailure, match="under the lease of corpus"):
            store.commit(store.stage_out(lease), draft.model_copy(update={"stage": "ppo"}), lease)
    with pytest.raises(LeaseLost, match="not held"):
        store.stage_out(lease)
    with pytest.raises(BadConfig, match="cache"):
        Store("memory://x")


def test_content_from_elsewhere_is_copied(store: Store, tmp_path: Path) -> None:
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "deep" / "a").write_bytes(b"1")
    with store.lease("corpus", KEY) as lease:
        ref = store.commit(tmp_path / "made", Draft(stage="corpus", version=1, kind="text", key=KEY), lease)
    assert content(store.open(ref)) == {"deep/a": b"1"} == content(tmp_path / "made")


def test_all_is_on_the_disk_before_the_rename_and_the_name_after(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut cannot be made here; the order of fsync and rename, which is what survives one, can be watched."""
    put(store, {"a": b"0"})  # the folders above exist from here on
    events: list[str] = []
    fsync, rename, mine = os.fsync, Path.rename, threading.get_ident()

    def note(event: str) -> None:
        if threading.get_ident() == mine:  # the heartbeats of other leases sync their files at any time
            events.append(event)

    def note_fsync(descriptor: int) -> None:
        note(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def note_rename(self: Path, target: Path) -> Path:
        note("rename")
        return rename(self, target)

    with store.lease("corpus", KEY) as lease:
        out = store.stage_out(lease)
        (out / "b").mkdir()
        for name in ("a", "b/c"):
            (out / name).write_bytes(b"1")
        monkeypatch.setattr(os, "fsync", note_fsync)
        monkeypatch.setattr(Path, "rename", note_rename)
        ref = store.commit(out, Draft(stage="corpus", version=1, kind="text", key=KEY), lease)
        monkeypatch.undo()
    cut = events.index("rename")
    before = {str(Path(path).relative_to(out.parent)) for path in events[:cut]}
    assert before == {"content/a", "content/b/c", "content/b", "content", "manifest.json", "."}
    assert events[cut:] == ["rename", str(Path(ref.uri).parent)]


@pytest.mark.parametrize("remote", [False, True])
def test_killed_before_every_step_of_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: bool) -> None:
    """A child dies right before its n-th file operation, for every n: the store holds the old or the new artifact."""
    import fsspec

    monkeypatch.setitem(fsspec.config.conf, "local", {"auto_mkdir": True})
    root = f"local://{tmp_path}/store" if remote else str(tmp_path / "store")
    old = put(Store(root, tmp_path / "cache"), {"a": b"old", "b/c": b"old"})
    new: ArtifactRef | None = None
    steps = 0
    while True:
        steps += 1
        child = os.fork()
        if child == 0:
            die_before(steps)
            put(Store(root, tmp_path / "cache"), {"a": b"new", "b/c": b"new%d" % steps})
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        store = Store(root, tmp_path / "cache")
        found = store.find("corpus", KEY)
        assert verify_store(store) == []
        assert found is not None
        if found != old:
            assert content(store.open(found)) == {"a": b"new", "b/c": b"new%d" % steps}
            new = old = found
        if code == 0:
            break
        assert code == 9
    assert new is not None
    assert steps > 25
    store.verify(put(store, {"a": b"after"}))


def die_before(step: int) -> None:
    """End this process, as SIGKILL would, before its ``step``-th operation on a file."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in ("open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.listdir"):
            count += 1
            if count == step:
                os._exit(9)

    sys.addaudithook(hook)
