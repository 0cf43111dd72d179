"""A writer is killed a hundred times: nothing that it reported is lost, nothing in the store is torn."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tasks.artifacts import Draft, Store, collect, verify_store

KILLS = 100
KEY = "ef" * 32


def write_for_ever(root: Path, log: Path, seed: int) -> None:
    """Commit random trees under a few keys, and log each after commit() returned."""
    store, dice = Store(str(root)), random.Random(seed)
    number = 0
    while True:
        number += 1
        key = f"{number % 3:02d}" + KEY[2:]
        with store.lease("corpus", key, ttl=5) as lease:
            out = store.stage_out(lease)
            (out / "shards").mkdir()
            for name in ("report.json", "shards/0", "shards/1"):
                (out / name).write_bytes(dice.randbytes(dice.randrange(60_000)))
            draft = Draft(stage="corpus", version=1, kind="text", key=key, seed=seed)
            ref = store.commit(out, draft, lease)
        with log.open("a", encoding="utf-8") as file:
            file.write(ref.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())


def test_killed_a_hundred_times(tmp_path: Path) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    log.touch()
    dice = random.Random(0)
    killed_while_busy = 0
    reported = 0
    for kill in range(KILLS):
        child = os.fork()
        if child == 0:
            try:
                write_for_ever(root, log, kill)
            finally:
                os._exit(1)
        time.sleep(dice.uniform(0.005, 0.25))
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the writer stopped by itself: it could not take over"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        killed_while_busy += any((root / "tmp").glob("*")) if root.exists() else 0

        store = Store(str(root))
        # Hash again what is new since the last kill; the whole store at the end
        lines = log.read_text(encoding="utf-8").splitlines()
        there = {ref.uri: ref for ref, _ in store.all_generations()}
        for line in lines[reported:]:
            row = json.loads(line)
            assert row["uri"] in there, "a reported artifact is lost"
            assert there[row["uri"]].digest == row["digest"]
            store.verify(there[row["uri"]])
        folders = {str(path) for path in (root / "artifacts").glob("*/*/*")}
        assert folders == set(there), "a torn generation is in sight"
        reported = len(lines)

    assert reported > KILLS / 2
    assert killed_while_busy > KILLS / 4
    store = Store(str(root))
    assert verify_store(store) == []
    fences = [manifest.fence for _, manifest in store.all_generations()]
    assert max(fences) > KILLS / 3
    collect(store)
    left = list((root / "tmp").iterdir())  # single files may belong to a live writer until they are an hour old
    assert all(path.name.startswith("file.") for path in left)
    for path in left:
        os.utime(path, (0, 0))
    collect(store)
    assert not any((root / "tmp").iterdir())
    assert len(list(store.all_generations())) == len(list(store.refs())) == 3
    assert verify_store(store) == []


@pytest.mark.parametrize("remote", [False, True])
def test_the_next_writer_goes_on_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: bool) -> None:
    """A killed holder of this machine costs no waiting, and its staging folder is cleared by the next."""
    import fsspec

    monkeypatch.setitem(fsspec.config.conf, "local", {"auto_mkdir": True})
    root = f"local://{tmp_path}/store" if remote else str(tmp_path / "store")
    child = os.fork()
    if child == 0:
        store = Store(root, tmp_path / "cache")
        out = store.stage_out(store.lease("corpus", KEY).acquire())
        (out / "half").write_bytes(b"x")
        (tmp_path / "ready").touch()
        time.sleep(60)
        os._exit(1)
    limit = time.monotonic() + 20
    while not (tmp_path / "ready").exists() and time.monotonic() < limit:
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    store = Store(root, tmp_path / "cache")
    begin = time.monotonic()
    with store.lease("corpus", KEY) as lease:
        assert time.monotonic() - begin < 1
        assert lease.fence == 2
        out = store.stage_out(lease)
        assert [path.name for path in (store.scratch / "tmp").iterdir()] == [f"{KEY}.00000002"]
        (out / "whole").write_bytes(b"x")
        store.verify(store.commit(out, Draft(stage="corpus", version=1, kind="text", key=KEY), lease))
