"""Leases: one holder at a time, takeover from the dead and the silent, fence numbers, refusal of late writers."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import Draft, LeaseHeld, LeaseLost, Store
from tasks.artifacts.holder import Holder, claims, live_holder, machine, read_holder
from tasks.supervisor import start_ticks

KEY = "cd" * 32
DRAFT = Draft(stage="ppo", version=1, kind="adapter", key=KEY)


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Both kinds of place keep leases in the same way."""
    return Store(str(tmp_path / "store")) if request.param == "disk" else Store(f"memory://{tmp_path.name}", tmp_path)


def rewrite(store: Store, fence: int, **changes: Any) -> None:
    """Make a claim look like somebody else's."""
    holder = read_holder(store.files, KEY, fence)
    assert holder is not None
    text = Holder.model_validate({**holder.model_dump(), **changes}).model_dump_json()
    store.files.replace(f"leases/{KEY}/{fence:08d}.json", text.encode())


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process, which never returns here."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def test_held_by_a_live_process(store: Store) -> None:
    with store.lease("ppo", KEY) as lease:
        with pytest.raises(LeaseHeld, match=rf"ppo cdcd.* made by process {os.getpid()} on .*fence 1"):
            store.lease("ppo", KEY).acquire(wait=0.1)
        store.lease("ppo", "ef" * 32).acquire(wait=0).release()
        lease.confirm()
    assert store.lease("ppo", KEY).acquire(wait=0).fence == 2


def test_the_next_one_waits_its_turn(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    first = store.lease("ppo", KEY, ttl=2).acquire()
    threading.Timer(0.3, first.release).start()
    begin = time.monotonic()
    with store.lease("ppo", KEY, ttl=2) as second:
        assert second.fence == 2
    assert 0.2 < time.monotonic() - begin < 2
    assert "waiting: ppo cdcd" in capfd.readouterr().err


def test_fences_rise_for_ever_even_without_the_records(store: Store) -> None:
    seen = []
    for _ in range(3):
        with store.lease("ppo", KEY) as lease:
            out = store.stage_out(lease)
            (out / "a").write_bytes(b"x")
            store.commit(out, DRAFT, lease)
            seen.append(lease.fence)
    for fence in claims(store.files, KEY):
        store.files.delete(f"leases/{KEY}/{fence:08d}.json")
    assert claims(store.files, KEY) == []
    with store.lease("ppo", KEY) as lease:
        seen.append(lease.fence)
    assert seen == [1, 2, 3, 4]


def test_a_taker_with_an_old_look_does_not_slip_in_below(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saw claim 1, others took 2 and 3, and 2 was collected: creating 2 succeeds and must not count."""
    for _ in range(2):
        store.lease("ppo", KEY).acquire().release()
    holder = store.lease("ppo", KEY).acquire()
    store.files.delete(f"leases/{KEY}/00000002.json")
    looks = iter([[1]])
    monkeypatch.setattr("tasks.artifacts.lease.claims", lambda files, key: next(looks, None) or claims(files, key))
    with pytest.raises(LeaseHeld, match="fence 3"):
        store.lease("ppo", KEY).acquire(wait=0)
    assert claims(store.files, KEY) == [1, 2, 3]  # it did create 2
    holder.confirm()


def test_a_silent_process_of_this_machine_is_not_robbed(store: Store) -> None:
    lease = store.lease("ppo", KEY, ttl=0.05).acquire()
    lease._stop.set()  # the heartbeat ends, the process lives
    time.sleep(0.3)
    with pytest.raises(LeaseHeld):
        store.lease("ppo", KEY, ttl=0.05).acquire(wait=0)


def test_a_process_number_used_again_is_not_the_holder(store: Store) -> None:
    lease = store.lease("ppo", KEY).acquire()
    rewrite(store, lease.fence, ticks="1", owner="other")
    assert store.lease("ppo", KEY).acquire(wait=0).fence == 2


def test_another_machine_is_taken_over_only_after_its_time_to_live(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.artifacts.holder.CLOCK_STEP", 0.0)
    lease = store.lease("ppo", KEY, ttl=0.6).acquire()
    lease._stop.set()
    rewrite(store, 1, machine="elsewhere", host="elsewhere", pid=1, owner="other")
    with pytest.raises(LeaseHeld, match="process 1 on elsewhere"):
        store.lease("ppo", KEY, ttl=0.6).acquire(wait=0)
    begin = time.monotonic()
    assert store.lease("ppo", KEY, ttl=0.6).acquire(wait=5).fence == 2
    assert 0.3 < time.monotonic() - begin < 3


def test_the_heartbeat_keeps_another_machine_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same live lease, seen with another machine's eyes."""
    monkeypatch.setattr("tasks.artifacts.holder.CLOCK_STEP", 0.6)
    with store.lease("ppo", KEY, ttl=0.9):
        monkeypatch.setattr("tasks.artifacts.holder.machine", lambda: "elsewhere")
        limit = time.monotonic() + 2
        while time.monotonic() < limit:
            assert live_holder(store.files, KEY, 1, ttl=0.9)
            time.sleep(0.05)
        beats = read_holder(store.files, KEY, 1)
        assert beats is not None
        assert beats.beat >= 3


def test_an_unreadable_claim_counts_as_held_until_it_is_old(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.artifacts.holder.CLOCK_STEP", 0.0)
    store.files.create(f"leases/{KEY}/00000007.json", b"")
    with pytest.raises(LeaseHeld, match="unknown"):
        store.lease("ppo", KEY, ttl=0.3).acquire(wait=0)
    assert store.lease("ppo", KEY, ttl=0.3).acquire(wait=3).fence == 8


def test_a_late_writer_is_refused_and_leaves_nothing(store: Store) -> None:
    late = store.lease("ppo", KEY).acquire()
    out = store.stage_out(late)
    (out / "a").write_bytes(b"late")
    rewrite(store, 1, ticks="1")
    with store.lease("ppo", KEY) as lease:
        mine = store.stage_out(lease)
        (mine / "a").write_bytes(b"in time")
        ref = store.commit(mine, DRAFT, lease)
        with pytest.raises(LeaseLost, match=r"fence 1 was taken over by process .* with fence 2"):
            store.commit(out, DRAFT, late)
        with pytest.raises(LeaseLost):
            late.check()
        late.release()
        lease.confirm()
    assert [found for found, _ in store.all_generations()] == [ref]
    assert (store.open(ref) / "a").read_bytes() == b"in time"


def test_taken_over_between_hashing_and_the_last_step(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    late = store.lease("ppo", KEY).acquire()
    out = store.stage_out(late)
    (out / "a").write_bytes(b"late")
    looks = 0
    confirm = late.confirm

    def confirm_and_lose() -> None:
        nonlocal looks
        looks += 1
        if looks == 2:  # the last look, right before the rename or the manifest
            rewrite(store, 1, ticks="1")
            store.lease("ppo", KEY).acquire(wait=0)
        confirm()

    monkeypatch.setattr(late, "confirm", confirm_and_lose)
    with pytest.raises(LeaseLost):
        store.commit(out, DRAFT, late)
    assert looks == 2
    assert store.find("ppo", KEY) is None


def test_asleep_after_the_last_look_it_is_superseded_from_the_start(store: Store) -> None:
    """Even a writer that sleeps between its last look and the rename cannot hide the newer artifact."""
    late = store.lease("ppo", KEY).acquire()
    rewrite(store, 1, ticks="1")
    with store.lease("ppo", KEY) as lease:
        out = store.stage_out(lease)
        (out / "a").write_bytes(b"in time")
        ref = store.commit(out, DRAFT, lease)
    late.confirm = lambda: None  # type: ignore[method-assign]
    out = store.stage_out(late)
    (out / "a").write_bytes(b"late")
    store.commit(out, DRAFT, late)
    assert store.find("ppo", KEY) == ref


def test_the_heartbeat_notices_the_loss(store: Store) -> None:
    late = store.lease("ppo", KEY, ttl=0.3).acquire()
    late.check()
    rewrite(store, 1, ticks="1")
    store.lease("ppo", KEY).acquire(wait=0)
    time.sleep(0.5)
    with pytest.raises(LeaseLost, match="with fence 2"):
        late.check()


def test_a_store_out_of_reach_does_not_lose_the_lease(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.lease("ppo", KEY, ttl=0.3) as lease:

        def away(folder: str) -> list[str]:
            raise OSError("unreachable")

        with monkeypatch.context() as context:
            context.setattr(store.files, "names", away)
            limit = time.monotonic() + 0.6
            while time.monotonic() < limit:
                lease.check()
                time.sleep(0.02)
        time.sleep(0.2)
        lease.check()
        beats = read_holder(store.files, KEY, 1)
        assert beats is not None
        assert beats.beat >= 1


def test_of_many_takers_of_a_dead_lease_one_wins(tmp_path: Path) -> None:
    """Ten times: a holder is killed, four processes race for its lease; exactly one has it, and the fence rises."""
    store = Store(str(tmp_path / "store"))

    def hold() -> None:
        store.lease("ppo", KEY).acquire()
        (tmp_path / "held").touch()
        time.sleep(60)

    for round_number in range(1, 11):
        (tmp_path / "held").unlink(missing_ok=True)
        dead = in_child(hold)
        wait_for(tmp_path / "held")
        os.kill(dead, signal.SIGKILL)
        os.waitpid(dead, 0)

        def take(number: int, start: float = time.time() + 0.05, folder: Path = tmp_path / f"{round_number}") -> None:
            time.sleep(max(start - time.time(), 0))
            try:
                fence = store.lease("ppo", KEY).acquire(wait=0).fence
                (folder.parent / f"{folder.name}.won.{number}").write_text(str(fence), encoding="ascii")
                time.sleep(60)
            except LeaseHeld:
                (folder.parent / f"{folder.name}.refused.{number}").touch()
                os._exit(7)

        takers = [in_child(lambda number=number: take(number)) for number in range(4)]
        limit = time.monotonic() + 20
        while len(list(tmp_path.glob(f"{round_number}.*"))) < 4 and time.monotonic() < limit:
            time.sleep(0.01)
        won = list(tmp_path.glob(f"{round_number}.won.*"))
        for taker in takers:
            os.kill(taker, signal.SIGKILL)
            os.waitpid(taker, 0)
        assert len(won) == 1
        assert len(list(tmp_path.glob(f"{round_number}.refused.*"))) == 3
        assert won[0].read_text(encoding="ascii") == str(2 * round_number)


def wait_for(path: Path) -> None:
    limit = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_where_processes_cannot_be_seen_only_silence_counts(store: Store) -> None:
    """No /proc: start times are unknown, so a process is never declared dead by its number."""
    lease = store.lease("ppo", KEY).acquire()
    rewrite(store, 1, ticks="", pid=2**22 + 1)
    with pytest.raises(LeaseHeld):
        store.lease("ppo", KEY).acquire(wait=0)
    assert lease.fence == 1
    assert start_ticks(os.getpid())
    assert machine().count(":") >= 2
