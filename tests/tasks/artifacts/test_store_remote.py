"""The store on an object store: fsspec's memory, and S3 as moto serves it (skipped where moto is missing)."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.artifacts import ArtifactRef, BrokenArtifact, Draft, Lease, LeaseHeld, Store, collect, verify_store
from tasks.artifacts.remote import RemoteFiles

Commit = Callable[..., ArtifactRef]
KEY = "ab" * 32
TREE = {"a.txt": b"hello", "deep/b [1]*?.bin": bytes(range(256)) * 100, "empty": b""}


@pytest.fixture(params=["memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    place = request.getfixturevalue("s3") if request.param == "s3" else "memory://plumbline"
    return f"{place}/{tmp_path.name}"


@pytest.fixture
def store(root: str, tmp_path: Path) -> Store:
    return Store(root, tmp_path / "cache")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_round_trip_on_another_machine(store: Store, root: str, tmp_path: Path, commit: Commit) -> None:
    ref = commit(store, TREE)
    other = Store(root, tmp_path / "other cache")
    assert other.find("corpus", KEY) == ref
    other.verify(ref)
    assert content(other.open(ref)) == TREE == content(store.open(ref))
    again = commit(other, {"a.txt": b"changed"})
    assert store.find("corpus", KEY) == again
    assert store.manifest(again).fence == 2
    assert content(store.open(again)) == {"a.txt": b"changed"}
    assert verify_store(store) == []


def test_a_download_happens_once_and_a_spoiled_copy_is_replaced(
    store: Store, root: str, tmp_path: Path, commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = commit(store, TREE)
    other = Store(root, tmp_path / "other")
    fetched: list[str] = []
    fetch = RemoteFiles.fetch

    def count(self: RemoteFiles, path: str, target: Path) -> None:
        fetched.append(path)
        fetch(self, path, target)

    monkeypatch.setattr(RemoteFiles, "fetch", count)
    other.open(ref)
    folder = Store(root, tmp_path / "other").open(ref)
    assert len(fetched) == len(TREE)
    (folder / "a.txt").write_bytes(b"hellO")
    assert content(other.open(ref)) == TREE
    assert len(fetched) == 2 * len(TREE)
    assert not list((other.scratch / "tmp").iterdir())


def test_damage_in_the_store_is_found_and_set_aside(store: Store, root: str, tmp_path: Path, commit: Commit) -> None:
    ref = commit(store, TREE)
    place = f"artifacts/corpus/{KEY}/00000001"
    store.files.replace(f"{place}/content/a.txt", b"hellO")
    for look in (store.verify, Store(root, tmp_path / "new").open):
        with pytest.raises(BrokenArtifact, match=r"a\.txt: expected sha256"):
            look(ref)
    assert len(verify_store(store)) == 1
    store.set_aside(ref, "test")
    assert store.find("corpus", KEY) is None
    (aside,) = store.files.names("broken")
    assert set(store.files.files(f"broken/{aside}")) == {"manifest.json", "why.json", *(f"content/{n}" for n in TREE)}
    assert store.manifest(commit(store, TREE)).fence == 2


def test_a_manifest_cannot_make_a_download_climb_out(store: Store, root: str, tmp_path: Path, commit: Commit) -> None:
    ref = commit(store, TREE)
    path = f"artifacts/corpus/{KEY}/00000001/manifest.json"
    row = json.loads(store.files.read(path))
    row["files"][0]["path"] = "../../../../evil"
    store.files.replace(path, json.dumps(row).encode())
    with pytest.raises(BrokenArtifact, match="expected a path inside content/"):
        Store(root, tmp_path / "new").open(ref)
    assert not list(tmp_path.rglob("evil"))


def test_an_upload_without_manifest_is_no_artifact_and_is_collected(store: Store, commit: Commit) -> None:
    store.files.replace(f"artifacts/corpus/{KEY}/00000001/content/a.txt", b"half")
    assert store.find("corpus", KEY) is None
    assert verify_store(store) == []
    ref = commit(store, TREE)
    assert store.manifest(ref).fence == 2
    collect(store)
    assert store.fences("corpus", KEY) == [2]
    store.verify(ref)


def test_a_manifest_is_never_overwritten(store: Store) -> None:
    store.files.create("x/manifest.json", b"first")
    store.files.create("x/manifest.json", b"first")  # the answer to the first attempt was lost
    with pytest.raises(FileExistsError):
        store.files.create("x/manifest.json", b"second")
    assert store.files.read("x/manifest.json") == b"first"


def test_of_many_takers_one_wins(store: Store) -> None:
    for round_number in range(1, 6):
        barrier = threading.Barrier(4)
        won: list[Lease] = []
        refused: list[str] = []

        def take(start: threading.Barrier, won: list[Lease], refused: list[str]) -> None:
            lease = store.lease("corpus", KEY)
            start.wait()
            try:
                won.append(lease.acquire(wait=0))
            except LeaseHeld as error:
                refused.append(str(error))

        threads = [threading.Thread(target=take, args=(barrier, won, refused)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [lease.fence for lease in won] == [round_number]
        assert len(refused) == 3
        won[0].release()


def test_work_and_remembered_digests_are_local(store: Store, tmp_path: Path) -> None:
    assert store.work("ppo", KEY).is_relative_to(tmp_path / "cache")
    with store.lease("ppo", KEY) as lease:
        out = store.stage_out(lease)
        assert out.is_relative_to(tmp_path / "cache")
        (out / "a").write_bytes(b"x")
        ref = store.commit(out, Draft(stage="ppo", version=1, kind="adapter", key=KEY), lease)
    assert "://" in ref.uri
    assert ref.uri.endswith(f"artifacts/ppo/{KEY}/00000001")


def test_importing_the_store_is_light() -> None:
    """No torch, no fsspec, no S3: `plumbline status` must answer at once."""
    code = (
        "import sys, tasks.artifacts; print(sorted({'torch', 'fsspec', 's3fs', 'numpy', 'prefect'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
