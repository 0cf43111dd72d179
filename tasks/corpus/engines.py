"""Engines on this machine: one process, or several that are fed with jobs; and the choice between all engines."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.corpus.engine import Engine, Progress
from tasks.corpus.jobs import TASKS
from tasks.failures import FAILURES, LostWorker, StageFailure

SMALL = 12_000_000  # bytes of input below which processes take longer to start than they save


class Here:
    """One job after the other, in this process."""

    def run(self, task: str, folder: Path, numbers: Iterable[int], progress: Progress) -> None:
        done = Done(progress)
        for number in numbers:
            TASKS[task](folder, number, lambda value, number=number: done.report(number, value))  # type: ignore[misc]

    def close(self) -> None:
        pass


class Processes:
    """Jobs over processes of this machine, which stay for the next task. One that dies is LostWorker."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.started: list[subprocess.Popen[str]] = []

    def run(self, task: str, folder: Path, numbers: Iterable[int], progress: Progress) -> None:
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        count = 0
        for number in numbers:
            waiting.put(number)
            count += 1
        while len(self.started) < min(self.workers, count):
            self.started.append(_start())
        done, failures = Done(progress), list[StageFailure]()
        threads = [
            threading.Thread(target=_drive, args=(worker, task, folder, waiting, done, failures))
            for worker in self.started[:count]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            self.close()
            raise failures[0]

    def close(self) -> None:
        for worker in self.started:
            worker.kill()
            worker.communicate()
        self.started = []


class Done:
    """Bytes done, of jobs that report at the same time."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.of_job, self.lock = progress, dict[int, int](), threading.Lock()

    def report(self, number: int, value: int) -> None:
        """``value`` bytes of a job are done."""
        with self.lock:
            self.of_job[number] = value
            self.progress(sum(self.of_job.values()))


def _start() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tasks.corpus.worker", str(os.getpid())]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _drive(
    worker: subprocess.Popen[str],
    task: str,
    folder: Path,
    waiting: "queue.SimpleQueue[int]",
    done: Done,
    failures: list[StageFailure],
) -> None:
    """Feed one worker until nothing waits, or somebody failed."""
    assert worker.stdin
    assert worker.stdout
    while not failures:
        try:
            number = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            worker.stdin.write(json.dumps({"task": task, "folder": str(folder), "number": number}) + "\n")
            worker.stdin.flush()
            answer = _answer(worker.stdout, number, done)
        except OSError:
            answer = None
        if answer is None:
            failures.append(LostWorker(f"corpus: a process died at {task} {number} (status {worker.wait()})"))
        elif answer["event"] == "failed":
            failures.append(FAILURES.get(answer["failure"], StageFailure)(answer["message"]))


def _answer(lines: Iterable[str], number: int, done: Done) -> dict[str, Any] | None:
    """The event that ends a job; None when the worker died."""
    for line in lines:
        event: dict[str, Any] = json.loads(line)
        if event["event"] != "progress":
            return event
        done.report(number, event["done"])
    return None


def engine_for(name: str, workers: int | None, size: int, address: str | None) -> Engine:
    """The engine that the config names. workers: None for all cores. size: bytes of input."""
    if name == "ray":
        from tasks.corpus.ray_engine import Ray

        return Ray(address)
    count = workers or len(os.sched_getaffinity(0))
    if count == 1 or (workers is None and size < SMALL):
        return Here()
    return Processes(count)
