"""The same corpus from one process, several, Ray, and an attempt that was killed; every failure keeps its name."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.schema.corpus import CorpusConfig, DedupConfig
from configs.schema.sources import TextSource
from tasks.corpus import plan
from tasks.corpus.build import build_corpus
from tasks.corpus.engines import Processes, engine_for
from tasks.corpus.plan import make_plan
from tasks.corpus.work import done_shard
from tasks.failures import BadData, LostWorker
from tasks.inputs import Inputs
from tasks.live import Live

WORDS = ["the", "river", "mill", "and", "old", "boat", "of", "a", "green", "hill", "with", "that", "lamp", "road"]
Build = Callable[..., dict[str, bytes]]


def rows(count: int = 240) -> list[str]:
    """Lines of JSON: distinct texts, exact and near copies, addresses, short and broken ones."""
    draw, lines = random.Random(0), []
    for number in range(count):
        text = " ".join(draw.choices(WORDS, k=60)) + f" {number}."
        kind = number % 12
        if kind == 3:
            text = json.loads(lines[number - 3])["text"].upper()
        elif kind == 5:
            text = json.loads(lines[number - 5])["text"] + " And then."
        elif kind == 7:
            text += f" Write to x{number}@example.com."
        lines.append(json.dumps({"id": f"d{draw.random()}", "text": "No." if kind == 9 else text}))
    return [*lines, "{broken", ""]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Run the stage over one file; jobs of so many bytes."""
    monkeypatch.setattr(plan, "JOB_BYTES", 8_000)
    raw = tmp_path / "raw.jsonl"
    raw.write_text("\n".join(rows()), encoding="utf-8")

    def run(name: str, **config: Any) -> dict[str, bytes]:
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        (tmp_path / f"{name}-work").mkdir(exist_ok=True)
        build_corpus(settings(raw, **config), Inputs(sources={"raw": [raw]}), out, Live(tmp_path / f"{name}-work"))
        return everything(out)

    return run


def settings(raw: Path, **config: Any) -> CorpusConfig:
    dedup = DedupConfig(signatures=True)
    return CorpusConfig(sources=[TextSource(name="raw", path="raw")], seed=0, dedup=dedup, **{"workers": 1, **config})


def everything(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_processes_and_the_size_of_jobs_change_nothing(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    once = build("once")
    assert json.loads(once["report.json"])["totals"]["near_duplicates"] == 20
    assert build("two", workers=2) == once
    monkeypatch.setattr(plan, "JOB_BYTES", 10_000_000)
    assert build("whole") == once


@pytest.mark.ray
def test_ray_gives_the_same_bytes(build: Build) -> None:
    pytest.importorskip("ray", reason="pip install 'plumbline[ray]'")
    assert build("ray", engine="ray") == build("here")


PROGRAM = """
import sys
from pathlib import Path
from tasks.corpus import plan
plan.JOB_BYTES = 8_000
from tasks.corpus.build import build_corpus
from tasks.inputs import Inputs
from tasks.live import Live
sys.path.insert(0, sys.argv[1])
from test_corpus_engine import settings
raw, out, work = map(Path, sys.argv[2:5])
build_corpus(settings(raw, workers=int(sys.argv[5])), Inputs(sources={"raw": [raw]}), out, Live(work))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_attempt_goes_on_at_the_first_shard_that_is_not_finished(
    build: Build, tmp_path: Path, workers: int
) -> None:
    once = build("once")
    out, work = tmp_path / "killed", tmp_path / "killed-work"
    work.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path / "raw.jsonl")]
    command += [str(out), str(work), str(workers)]
    shards, wait, seen = work / "corpus" / "shards", random.Random(workers), []
    for attempt in range(1, 5):
        emptied(out)
        process = subprocess.Popen(command)
        limit = time.monotonic() + 60
        while process.poll() is None and attempt < 4 and len(list(shards.glob("*/done.json"))) < 4 * attempt:
            assert time.monotonic() < limit
            time.sleep(0.005)
        time.sleep(wait.uniform(0, 0.05))
        if process.poll() is None and attempt < 4:
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        seen.append(len(list(shards.glob("*/done.json"))))
        assert no_worker_of(process.pid)
    assert seen
    assert seen == sorted(seen)
    assert everything(out) == once


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_says_so_and_the_next_attempt_goes_on(build: Build, tmp_path: Path, workers: int) -> None:
    once = build("once")
    out, work = tmp_path / "full", tmp_path / "full-work"
    emptied(out)
    work.mkdir()
    # A limit on the size of a file: what the system answers is what a full disk answers, under another number
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n{PROGRAM}"
    command = [sys.executable, "-c", limited, str(Path(__file__).parent), str(tmp_path / "raw.jsonl")]
    command += [str(out), str(work), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "StorageFailure" in done.stderr
    assert "File too large" in done.stderr
    assert list((work / "corpus" / "shards").glob("*/done.json")) or workers == 2
    emptied(out)
    again = [sys.executable, "-c", PROGRAM, *command[3:]]
    subprocess.run(again, check=True)
    assert everything(out) == once


def emptied(out: Path) -> None:
    """Every attempt at a stage begins with an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()


def no_worker_of(pid: int, seconds: float = 2) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(path.read_bytes())
            except OSError:
                continue
        if not any(b"tasks.corpus.worker\0" + str(pid).encode() in line for line in lines):
            return True
        time.sleep(0.1)
    return False


def test_a_worker_that_dies_is_a_lost_worker_and_the_others_shards_stay(build: Build, tmp_path: Path) -> None:
    raw = tmp_path / "raw.jsonl"
    made = make_plan(settings(raw), Inputs(sources={"raw": [raw]}), tmp_path / "work")
    engine, killed = Processes(1), []

    def kill(done: int) -> None:
        if not killed:
            killed.append(engine.started[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    engine.run("clean", made.folder, [0], lambda done: None)
    os.kill(engine.started[0].pid, signal.SIGKILL)
    with pytest.raises(LostWorker, match="a process died at clean 1"):
        engine.run("clean", made.folder, [1], kill)
    assert not engine.started
    assert done_shard(made.shard(0)) is not None
    assert done_shard(made.shard(1)) is None
    engine.close()


def test_a_failure_in_a_worker_keeps_its_class_and_words(tmp_path: Path) -> None:
    raw = tmp_path / "raw.jsonl.gz"
    raw.write_bytes(b"\x1f\x8b\x08\x00 no gzip")
    made = make_plan(settings(raw), Inputs(sources={"raw": [raw]}), tmp_path / "work")
    engine = engine_for("local", 2, 0, None)
    with pytest.raises(BadData, match=r"raw\.jsonl\.gz"):
        engine.run("clean", made.folder, range(made.jobs), lambda done: None)
    engine.close()


def test_shards_of_other_settings_are_not_used(tmp_path: Path) -> None:
    raw = tmp_path / "raw.jsonl"
    raw.write_text("\n".join(rows()), encoding="utf-8")
    inputs = Inputs(sources={"raw": [raw]})
    made = make_plan(settings(raw), inputs, tmp_path / "work")
    engine_for("local", 1, 0, None).run("clean", made.folder, range(made.jobs), lambda done: None)
    assert done_shard(make_plan(settings(raw), inputs, tmp_path / "work").shard(0)) is not None
    again = make_plan(settings(raw, split_characters=500), inputs, tmp_path / "work")
    assert done_shard(again.shard(0)) is None
