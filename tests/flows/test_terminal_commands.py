"""rerun, cancel, diff, status, keep and gc, on runs of a toy stage without a server."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from toy_run import ToyConfig, toy_run

from configs.recipe import load_recipe, shipped
from flows.cancel import cancel
from flows.cli import app
from flows.diff import print_diff
from flows.rerun import write_recipe
from flows.slots import print_slots
from flows.status import print_runs, print_status
from flows.upkeep import collect_garbage, keep, verify_artifacts
from tasks.devices import host_devices, lock_devices
from tasks.failures import BadConfig, StageFailure
from tasks.run import Run, RunRecord, find_run, open_store
from tasks.supervisor import group_alive

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])


@pytest.fixture(autouse=True)
def child_sees_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", PATHS)


@pytest.fixture
def training() -> Iterator[RunRecord]:
    """A run of another process whose stage has trained for a second."""
    with started() as record:
        yield record


@contextmanager
def started(settings: Mapping[str, str] | None = None, shell: str = "") -> Iterator[RunRecord]:
    """shell: what the shell that starts the run does first."""
    command = f"{shell} exec {sys.executable} {Path(__file__).with_name('toy_run.py')} 120"
    with Path(os.environ["PLUMBLINE_HOME"]).with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command], env={**os.environ, **(settings or {})}, stdout=log, stderr=log
        )
    try:
        limit = time.monotonic() + 60
        while steps() <= 5 and time.monotonic() < limit:
            time.sleep(0.1)
        yield find_run(None)
    finally:
        process.kill()
        process.wait()


def steps() -> int:
    """How far the latest run is; 0 before it has reported anything."""
    try:
        return int((read_json("status")["stages"][0]["progress"] or {}).get("done", 0))
    except BadConfig:
        return 0


def read_json(*command: str) -> Any:
    """What a command prints with --json."""
    text = io.StringIO()
    with redirect_stdout(text):
        app([*command, "--json"], standalone_mode=False)
    return json.loads(text.getvalue())


def child_group(record: RunRecord) -> int:
    started = json.loads((Path(record.row("corpus")["work"]) / "child.json").read_text(encoding="ascii"))
    return int(started["group"])


# ---- status


def test_status_shows_how_far_a_running_stage_is(training: RunRecord, capsys: pytest.CaptureFixture[str]) -> None:
    row = read_json("status")["stages"][0]
    assert row["state"] == "Running"
    assert row["progress"]["total"] == 1000
    assert row["progress"]["values"] == {"loss": 1.25}
    assert 60 < row["progress"]["seconds_left"] < 150  # ten steps a second, a thousand to go
    print_status(None, as_json=False)
    shown = capsys.readouterr().out
    assert "/1000 steps, loss 1.25, about" in shown
    assert f"plumbline cancel {training.run}" in shown


def test_all_lists_recent_runs(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = toy_run(ToyConfig()), toy_run(ToyConfig())
    rows = read_json("status", "--all")["runs"]
    assert [(row["run"], row["state"], row["done"], row["stages"]) for row in rows] == [
        (run.record.run, "Completed", 1, 1) for run in (first, second)
    ]
    print_runs(as_json=False)
    assert f"next: plumbline report {second.record.run}" in capsys.readouterr().out


# ---- cancel


def test_cancel_ends_the_run_and_its_training(training: RunRecord, capsys: pytest.CaptureFixture[str]) -> None:
    group = child_group(training)
    assert group_alive(group)
    cancel(training.run)
    assert not group_alive(group)
    assert not training.alive()
    record = find_run(training.run)
    assert record.state == "Cancelled"
    assert record.row("corpus")["state"] == "Cancelled"
    shown = capsys.readouterr().out
    assert "training ended after" in shown
    assert f"next: plumbline rerun {training.run}" in shown


def test_a_run_that_is_deaf_to_ctrl_c_is_cancelled_all_the_same() -> None:
    with started(shell="trap '' INT;") as record:
        group = child_group(record)
        cancel(None)
        assert not group_alive(group)
        assert find_run(record.run).state == "Cancelled"


def test_a_finished_run_cannot_be_cancelled() -> None:
    toy_run(ToyConfig())
    with pytest.raises(BadConfig, match="is Completed, there is nothing to cancel; running: none"):
        cancel(None)


def test_cancelling_waits_for_this_runs_training_and_no_others(training: RunRecord) -> None:
    """Another run may take the working folder over at once."""
    other = Run.begin(load_recipe("nano"), ["corpus"])
    other.working("corpus", "key", Path(training.row("corpus")["work"]))
    other.record.row("corpus")["state"] = "Completed"
    other.record.pid, other.record.ticks = 1, "1"  # gone
    other.record.state = "Waiting"
    other.record.waiting = {"by": "terminal", "file": "sheet"}
    other.record.save()
    cancel(other.record.run)
    assert training.alive()


# ---- rerun


@pytest.mark.parametrize("name", shipped())
def test_the_recorded_settings_of_every_recipe_read_back_the_same(name: str) -> None:
    config = load_recipe(name, ["data_root=/data", "seed=3", "ppo.learning_rate=1e-05"])
    record = Run.begin(config, ["corpus"]).record
    assert load_recipe(str(write_recipe(record))) == config


def test_a_rerun_keeps_to_the_record_when_the_recipe_has_changed(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text((ROOT / "configs" / "recipes" / "nano.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    record = Run.begin(load_recipe(str(recipe), ["pretrain.steps=7"]), ["corpus"]).record
    recipe.write_text("name: broken", encoding="utf-8")
    again = load_recipe(str(write_recipe(record)), ["ppo.iterations=3"])
    assert (again.pretrain.steps, again.ppo.iterations) == (7, 3)


# ---- diff


def test_diff_names_settings_data_and_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    one = toy_run(ToyConfig(text="hello"), "seed=0").record.run
    two = toy_run(ToyConfig(text="good morning"), "seed=1", "corpus.sources.0.path=world:stories.jsonl").record.run
    found = read_json("diff", one, two)
    changed = {row["setting"]: (row["a"], row["b"]) for row in found["settings"]}
    assert changed["seed"] == (0, 1)
    assert changed["corpus.sources.0.path"] == ("world:documents.jsonl", "world:stories.jsonl")
    assert "pretrain.steps" not in changed
    assert [(row["stage"], row["same"]) for row in found["stages"]] == [("corpus", False)]
    assert found["metrics"] == [{"stage": "corpus", "metric": "length", "a": 5, "b": 12, "difference": 7}]
    print_diff(one, two, as_json=False)
    shown = capsys.readouterr().out
    for text in ("seed", "its settings", "+7  (+140.0%)", "next: plumbline rerun"):
        assert text in shown


def test_diff_of_equal_runs_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [toy_run(ToyConfig()).record.run for _ in range(2)]
    print_diff(*runs, as_json=False)
    shown = capsys.readouterr().out
    assert "settings: all the same" in shown
    assert "1 of 1 are the same" in shown


# ---- what is kept


def test_a_kept_run_survives_gc_until_it_is_no_longer_kept() -> None:
    old = toy_run(ToyConfig(text="old"))
    toy_run(ToyConfig(text="new"))
    keep(old.record.run, undo=False)
    collect_garbage(dry_run=False, unreferenced=True, keep_runs=1)
    old.store.verify(old.ref("corpus"))
    keep(old.record.run, undo=True)
    collect_garbage(dry_run=False, unreferenced=True, keep_runs=1)
    assert open_store().find("corpus", old.ref("corpus").key) is None


def test_what_a_live_or_waiting_run_needs_stays() -> None:
    live, waiting = toy_run(ToyConfig(text="live")), toy_run(ToyConfig(text="waiting"))
    live.record.state = "Running"  # this very process drives it
    live.record.save()
    waiting.record.state = "Waiting"
    waiting.record.waiting = {"by": "terminal", "file": "sheet", "candidates": {"digest": "0" * 64}}
    waiting.record.save()
    toy_run(ToyConfig(text="newest"), "seed=5")
    collect_garbage(dry_run=False, unreferenced=True, keep_runs=1)
    for run in (live, waiting):
        run.store.verify(run.ref("corpus"))


def test_gc_and_verify_look_into_every_store_that_runs_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = toy_run(ToyConfig(text="named"), f"store={tmp_path / 'named'}")
    monkeypatch.setenv("PLUMBLINE_STORE", str(tmp_path / "of-that-day"))
    old = toy_run(ToyConfig(text="old"))
    monkeypatch.delenv("PLUMBLINE_STORE")
    toy_run(ToyConfig(text="newest"))
    verify_artifacts(None)
    assert "3 artifacts, 0 broken" in capsys.readouterr().out
    collect_garbage(dry_run=False, unreferenced=True, keep_runs=1)
    assert [run.store.find("corpus", run.ref("corpus").key) for run in (named, old)] == [None, None]


def test_a_failed_attempt_leaves_no_staging_folder_and_keeps_its_working_folder() -> None:
    with pytest.raises(StageFailure, match="asked to fail"):
        toy_run(ToyConfig(fail=True))
    store = open_store()
    left = [name for name in store.files.names("tmp") if not name.startswith(("file", "clock"))]
    assert left == []
    assert len(list((store.scratch / "work" / "corpus").iterdir())) == 1


# ---- slots


def test_slots_names_the_holder_of_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for bus in ("1b", "43"):
        folder = tmp_path / "gpus" / bus
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: NVIDIA H200\nGPU UUID: GPU-{bus}\n", encoding="utf-8")
    monkeypatch.setenv("PLUMBLINE_GPU_FOLDER", str(tmp_path / "gpus"))
    monkeypatch.setenv("PLUMBLINE_DEVICE_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("PREFECT_API_URL", "")
    holder = {"run": "nano-1", "stage": "ppo", "pid": 7}
    with lock_devices(host_devices()[:1], 1, holder, print, lambda: None):
        rows = read_json("slots")["devices"]
        print_slots([], as_json=False)
    assert [(row["device"], row["class"], row["free"], row["holder"]) for row in rows] == [
        ("GPU-1b", "nvidia-h200", False, holder),
        ("GPU-43", "nvidia-h200", True, {}),
    ]
    assert "ppo of run nano-1 (process 7)" in capsys.readouterr().out
    with pytest.raises(BadConfig, match="CLASS=N"):
        print_slots(["nvidia-h200"], as_json=False)


def test_a_stage_that_waits_for_a_device_says_so_in_status(tmp_path: Path) -> None:
    folder = tmp_path / "gpus" / "1b"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: NVIDIA H200\nGPU UUID: GPU-1b\n", encoding="utf-8")
    settings = {"PLUMBLINE_GPU_FOLDER": str(tmp_path / "gpus"), "PLUMBLINE_DEVICE_LOCKS": str(tmp_path / "locks")}
    code = 'from toy_run import *; toy_run(ToyConfig(text="second"))'
    with started(settings) as first:
        second = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **settings})
        try:
            limit, said = time.monotonic() + 30, ""
            while first.run not in said and time.monotonic() < limit:
                time.sleep(0.1)
                row = read_json("status")["stages"][0]
                said = str((row["progress"] or {}).get("said")) if find_run(None).run != first.run else ""
            assert f"GPU-1b is used by corpus of run {first.run}" in said
            cancel(first.run)
            assert second.wait(timeout=60) == 0
        finally:
            second.kill()
    assert [record["state"] for record in read_json("status", "--all")["runs"]] == ["Cancelled", "Completed"]
