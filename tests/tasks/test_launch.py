"""Child processes: results, failure classes, and no orphan when the parent is killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, setting
from tasks.child import Job
from tasks.failures import BadData, LostWorker, OutOfMemory, StageFailure
from tasks.inputs import Inputs
from tasks.launch import run_child
from tasks.live import Live
from tasks.stage import stage
from tasks.supervisor import start_ticks


class ToyConfig(Strict):
    """What the toy stage shall do."""

    act: str = setting("finish", "What to do.")


@stage(version=1, makes="toy")
def toy(config: ToyConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Act as told; used by the tests below, in a child process."""
    (live.work / "pid").write_text(str(os.getpid()), encoding="ascii")
    live.progress(1, 2, "steps", loss=1.5)
    match config.act:
        case "bad data":
            raise BadData("rows.jsonl:3: not JSON")
        case "memory":
            raise MemoryError
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(60)
        case "surprise":
            raise ValueError("nobody expected this")
        case "deaf":
            return {"deaf": [sign.name for sign in signal.Signals if signal.getsignal(sign) is signal.SIG_IGN]}
        case "go on":
            live.start_at(80, "steps")
        case "environment":
            (out / "names.txt").write_text("\n".join(os.environ), encoding="utf-8")
    (out / "done.txt").write_text("done", encoding="utf-8")
    return {"answer": 42, "not_finite": float("nan")}


def job(tmp_path: Path, act: str) -> Job:
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    return Job(
        module="test_launch", stage="toy", config={"act": act}, folders={}, refs={}, sources={}, metrics={},
        out=str(out), work=str(work), result=str(work / "result.json"), processes=1,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def child_sees_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def run(tmp_path: Path, act: str, events: list[dict[str, Any]] | None = None) -> Any:
    sink = events if events is not None else []
    return run_child(job(tmp_path, act), LaunchConfig(grace_seconds=0.5), False, sink.append, lambda: None)


def test_metrics_and_events_come_back(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    outcome = run(tmp_path, "finish", events)
    assert outcome.metrics == {"answer": 42, "not_finite": None}
    assert [(event["done"], event["total"], event["values"]) for event in events] == [(1, 2, {"loss": 1.5})]
    assert (tmp_path / "out" / "done.txt").read_text(encoding="utf-8") == "done"


def test_a_child_gets_no_settings_of_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:secret")
    monkeypatch.setenv("PLUMBLINE_TEST_KEPT", "yes")
    run(tmp_path, "environment")
    names = (tmp_path / "out" / "names.txt").read_text(encoding="utf-8").splitlines()
    assert "PLUMBLINE_TEST_KEPT" in names
    assert [name for name in names if name.startswith("PREFECT_")] == []


@pytest.mark.parametrize(
    ("act", "kind", "text"),
    [
        ("bad data", BadData, r"rows\.jsonl:3"),
        ("memory", OutOfMemory, "MemoryError"),
        ("die", LostWorker, "no result"),
        ("surprise", StageFailure, "ValueError: nobody expected this"),
    ],
)
def test_failures_keep_their_class(tmp_path: Path, act: str, kind: type[StageFailure], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        run(tmp_path, act)
    assert type(caught.value) is kind
    assert caught.value.transient is (kind is LostWorker)


def test_a_failing_check_ends_the_child(tmp_path: Path) -> None:
    def check() -> None:
        if (tmp_path / "work" / "pid").exists():
            raise LostWorker("lease lost")

    with pytest.raises(LostWorker, match="lease lost"):
        run_child(job(tmp_path, "sleep"), LaunchConfig(grace_seconds=0.5), False, lambda event: None, check)
    assert gone(int((tmp_path / "work" / "pid").read_text(encoding="ascii")), seconds=1)


def gone(pid: int, seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if not start_ticks(pid):
            return True
        time.sleep(0.05)
    return False


def start_parent(tmp_path: Path) -> subprocess.Popen[bytes]:
    """A parent that runs a sleeping child, until it is killed."""
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from test_launch import job
        from configs.schema.launch import LaunchConfig
        from tasks.launch import run_child
        run_child(job(Path(sys.argv[1]), "sleep"), LaunchConfig(grace_seconds=0.5), False, print, lambda: None)
    """)
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{Path(__file__).parent}"}
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=env, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 30
    while not (tmp_path / "work" / "pid").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    return parent


def test_kill_9_of_the_parent_leaves_no_orphan(tmp_path: Path) -> None:
    parent = start_parent(tmp_path)
    pid = int((tmp_path / "work" / "pid").read_text(encoding="ascii"))
    assert start_ticks(pid)
    parent.kill()
    parent.wait()
    assert gone(pid, seconds=20)


def test_a_new_attempt_ends_what_an_earlier_one_left(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    found = {"group": orphan.pid, "ticks": start_ticks(orphan.pid)}
    (tmp_path / "work" / "child.json").write_text(json.dumps(found), encoding="ascii")
    run(tmp_path, "finish")
    assert gone(orphan.pid, seconds=5)


def test_a_child_hears_the_signals_that_ask_it_to_end(tmp_path: Path) -> None:
    deaf = run(tmp_path, "deaf").metrics["deaf"]
    assert not {"SIGTERM", "SIGHUP", "SIGINT"} & set(deaf)


def test_a_second_attempt_says_what_was_lost(tmp_path: Path) -> None:
    job(tmp_path, "go on")
    reached = {"event": "progress", "done": 93, "total": 100, "unit": "steps", "values": {}, "time": 0.0}
    (tmp_path / "work" / "events.jsonl").write_text(json.dumps(reached) + "\n", encoding="utf-8")
    events: list[dict[str, Any]] = []
    run(tmp_path, "go on", events)
    (said,) = [event for event in events if event["event"] == "say"]
    assert said["text"] == "goes on at step 80; 13 steps lost"
    assert (said["resumed_at"], said["lost_steps"]) == (80, 13)


@pytest.mark.parametrize("processes", [1, 2])
def test_accelerate_starts_as_many_processes_as_were_asked_for(tmp_path: Path, processes: int) -> None:
    asked = job(tmp_path, "finish").model_copy(update={"processes": processes})
    launch = LaunchConfig(processes=processes, threads=1, grace_seconds=0.5)
    events: list[dict[str, Any]] = []
    outcome = run_child(asked, launch, True, events.append, lambda: None)
    assert outcome.metrics is not None
    assert outcome.metrics["answer"] == 42
    assert len(events) == 1, "only the first process speaks"


def test_another_number_of_processes_is_an_error(tmp_path: Path) -> None:
    asked = job(tmp_path, "finish").model_copy(update={"processes": 2})
    with pytest.raises(StageFailure, match="2 processes were asked for and 1 started"):
        run_child(asked, LaunchConfig(grace_seconds=0.5), False, lambda event: None, lambda: None)


def test_killing_the_launched_child_is_a_lost_worker(tmp_path: Path) -> None:
    with pytest.raises(LostWorker):
        run_child(
            job(tmp_path, "die"), LaunchConfig(threads=1, grace_seconds=0.5), True, lambda event: None, lambda: None
        )
