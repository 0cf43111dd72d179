"""The whole log of a stage in a run: what was said, reported and printed, attempt by attempt, without secrets.

``runs/RUN/STAGE.log`` outlives the working folder, into which the child prints. The child is not given this file: it
would have to keep its own secrets, and a pipe that this process reads would kill it when this process dies.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.redaction import redact
from tasks.run import Listener

HEADER = "==== attempt "
PROGRESS_EVERY = 2.0  # seconds


class StageLog:
    """A listener of the run while a stage is made; ``follow`` takes over what the child has printed since."""

    def __init__(self, stage: str, path: Path, printed: Path) -> None:
        """path: the log that is kept.  printed: the file that the child prints into."""
        self.stage, self.path, self.printed = stage, path, printed
        self._offset = 0
        self._progress_at = -PROGRESS_EVERY

    @contextmanager
    def attempt(self, listeners: list[Listener]) -> Iterator[None]:
        """Listen during one attempt, with a line at its begin and one at its end that says how it ended."""
        number, begin = self._count() + 1, time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.printed.exists():
            self._write("---- printed by an attempt whose run was killed ----\n")
            self._take()
        self._write(f"{HEADER}{number} of {self.stage}, {_now('%Y-%m-%d %H:%M:%S')} UTC, process {os.getpid()} ====\n")
        listeners.append(self)
        end = "finished"
        try:
            yield
        except BaseException as error:
            end = f"{type(error).__name__}: {error}".rstrip(": ")
            raise
        finally:
            listeners.remove(self)
            self._take()
            self._write(f"==== attempt {number} ended after {time.monotonic() - begin:.1f} s: {end} ====\n")

    def started(self, stage: str) -> None:
        """Nothing to say: an attempt writes its own header."""

    def finished(self, stage: str, row: dict[str, Any]) -> None:
        """Nothing to say: an attempt writes its own end."""

    def event(self, stage: str, event: dict[str, Any]) -> None:
        """A line that the stage said, or its progress."""
        if stage != self.stage:
            return
        self.follow()
        if event["event"] == "say":
            self._write(f"{_now()} {event['text']}\n")
        elif event["event"] == "progress":
            now = time.monotonic()
            if event["done"] < event["total"] and now - self._progress_at < PROGRESS_EVERY:
                return
            self._progress_at = now
            values = "  ".join(f"{name} {value:.5g}" for name, value in event["values"].items())
            self._write(f"{_now()} {event['done']}/{event['total']} {event['unit']}  {values}".rstrip() + "\n")

    def follow(self) -> None:
        """Append the whole lines that the child has printed since the last call."""
        try:
            if self.printed.stat().st_size <= self._offset:
                return
            with self.printed.open("rb") as file:
                file.seek(self._offset)
                whole = file.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return
        if whole:
            self._offset += len(whole) + 1
            self._write(whole.decode("utf-8", errors="replace") + "\n")

    def _take(self) -> None:
        """Append the rest of what the child has printed, and remove its file."""
        self.follow()
        try:
            rest = self.printed.read_bytes()
        except FileNotFoundError:
            return
        if rest[self._offset :]:
            self._write(rest[self._offset :].decode("utf-8", errors="replace") + "\n")
        self.printed.unlink(missing_ok=True)
        self._offset = 0

    def _write(self, text: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(redact(text))

    def _count(self) -> int:
        """Attempts that the log knows of: of this run, by this process and by those before a retry."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                return sum(line.startswith(HEADER) and f" of {self.stage}, " in line for line in file)
        except FileNotFoundError:
            return 0


def _now(form: str = "%H:%M:%S") -> str:
    return time.strftime(form, time.gmtime())
