"""The log of a stage: kept after success, failure and retry, without secrets; printed and followed by a command."""

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from configs.recipe import load_recipe
from configs.schema.strict import Strict, setting
from flows.logs import print_logs, remove_logs
from tasks.failures import BadConfig, BadData, LostWorker
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.run import Run, find_run, records
from tasks.stage import stage

SECRET = "swordfish-1234"


class TalkConfig(Strict):
    """What the stage says and how its attempts end."""

    text: str = setting("hello", "What to print.")
    ends: str = setting("well", "well, killed (the first attempt), or bad data.", keyed=False)
    seconds: float = setting(0.0, "How long it takes.", keyed=False)


@stage(version=1, makes="text")
def corpus(config: TalkConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Print to both streams, say a line, report progress, and leak a secret."""
    import os

    print(f"{config.text} on stdout; the token is {os.environ['MY_TOKEN']}")
    print("on stderr", file=sys.stderr)
    live.say(f"said aloud with {os.environ['MY_TOKEN']}")
    for step in range(1, 5):
        time.sleep(config.seconds / 4)
        live.progress(step, 4, "steps", loss=1.0 / step)
    marker = live.work / "attempted"
    if config.ends == "bad data":
        raise BadData(f"row 3: {os.environ['MY_TOKEN']}")
    if config.ends == "killed" and not marker.exists():
        marker.touch()
        os._exit(9)
    (out / "text.txt").write_text(config.text, encoding="utf-8")
    return {}


@pytest.fixture(autouse=True)
def child_sees_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("MY_TOKEN", SECRET)


def begin() -> Run:
    return Run.begin(load_recipe("nano"), ["corpus", "tokenizer"])


def execute(run: Run, **settings: Any) -> str:
    """Run the toy stage and return its log."""
    with contextlib.suppress(LostWorker, BadData):
        corpus.execute(run, TalkConfig(**settings), {})
    return (run.record.folder / "corpus.log").read_text(encoding="utf-8")


def test_everything_is_kept_and_no_secret_is() -> None:
    text = execute(begin())
    assert text.startswith("==== attempt 1 of corpus, ")
    for line in ("hello on stdout; the token is [MY_TOKEN]", "on stderr", "said aloud with [MY_TOKEN]"):
        assert line in text
    assert "4/4 steps  loss 0.25" in text
    assert text.splitlines()[-1].endswith(": finished ====")
    assert SECRET not in text


def test_every_attempt_has_its_place() -> None:
    run = begin()
    first = execute(run, ends="killed")
    assert "ended after" in first
    assert "LostWorker" in first
    text = execute(run, ends="killed")
    assert text.startswith(first)
    assert "==== attempt 2 of corpus, " in text
    assert text.count("on stdout") == 2 + 1, "once each attempt, and once in the message of the lost worker"
    assert text.splitlines()[-1].endswith(": finished ====")


def test_a_failure_is_kept_and_its_message_has_no_secret() -> None:
    run = begin()
    text = execute(run, ends="bad data")
    assert "BadData: row 3: [MY_TOKEN]" in text
    assert "Traceback" in text
    assert SECRET not in text
    assert find_run(None).row("corpus")["error"] == "BadData: row 3: [MY_TOKEN]"


def test_what_a_killed_run_left_is_taken_over() -> None:
    run = begin()
    work = run.store.work("corpus", corpus.plan(run.store, TalkConfig(), {}, None).key)
    (work / "log.txt").write_text("last words\nwithout an end of line", encoding="utf-8")
    text = execute(run)
    left, _, made = text.partition("==== attempt 1")
    assert left.splitlines()[1:] == ["last words", "without an end of line"]
    assert "last words" not in made


def test_logs_prints_one_stage_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    run = begin()
    text = execute(run)
    run.end("Completed")
    print_logs("corpus", None, False, None)
    shown = capsys.readouterr()
    assert shown.out == text
    assert shown.err == f"next: plumbline report {run.record.run}\n"
    print_logs(None, None, False, 1)
    assert capsys.readouterr().out.splitlines() == ["######## corpus", text.splitlines()[-1]]


def test_a_reused_stage_shows_the_log_of_its_maker(capsys: pytest.CaptureFixture[str]) -> None:
    maker, run = begin(), begin()
    text = execute(maker)
    corpus.execute(run, TalkConfig(), {})
    assert run.record.row("corpus")["state"] == "Reused"
    print_logs(run.record.run, "corpus", False, None)
    shown = capsys.readouterr()
    assert shown.out == text
    assert f"the log of run {maker.record.run}" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing-like-it", None), "no such run"),
        ((None, "pretrain"), "'pretrain' is not a stage of run .*; stages: corpus, tokenizer"),
        ((None, "tokenizer"), "has no log of tokenizer, which is Pending"),
        ((None, None), "has no log yet; plumbline status"),
    ],
)
def test_errors_say_what_is_there(arguments: tuple[str | None, str | None], message: str) -> None:
    begin()
    with pytest.raises(BadConfig, match=message):
        print_logs(*arguments, follow=False, lines=None)


def test_follow_prints_while_the_stage_runs_and_ends_with_it() -> None:
    run = begin()
    command = [sys.executable, "-u", "-c", "from flows.cli import main; main()", "logs", "corpus", "--follow"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as follower:
        work = threading.Thread(target=execute, args=(run,), kwargs={"seconds": 3.0, "text": "slowly"})
        work.start()
        assert follower.stdout is not None
        lines = [follower.stdout.readline() for _ in range(3)]
        assert work.is_alive(), "lines come while the stage runs"
        work.join()
        rest, errors = follower.communicate(timeout=60)
    assert lines[0].startswith("==== attempt 1")
    assert "4/4 steps" in rest
    assert rest.splitlines()[-1].endswith(": finished ====")
    assert f"next: plumbline logs {run.record.run} --follow" in errors


def test_gc_removes_the_logs_of_old_runs_only() -> None:
    for _ in range(2):
        run = begin()
        execute(run, text=run.record.run)
        run.end("Completed")
    old, new = records()
    assert "would remove 1 logs of 1 old runs" in remove_logs([old], dry_run=True)
    assert (old.folder / "corpus.log").exists()
    remove_logs([old], dry_run=False)
    assert not (old.folder / "corpus.log").exists()
    assert (new.folder / "corpus.log").exists()
