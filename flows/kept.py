"""A command that is kept alive: started again when it dies, ended with the process that keeps it, even by SIGKILL."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tasks.supervisor import STOP

SUPERVISOR = Path(__file__).resolve().parent.parent / "tasks" / "supervisor.py"
LONGEST_PAUSE = 60.0  # seconds between two starts
STEADY = 60.0  # seconds; what lived so long starts anew with the shortest pause


class Kept:
    """One command, its log file, and how often it had to be started again.

    grace: seconds between SIGTERM and SIGKILL when it is stopped.
    """

    def __init__(
        self, name: str, command: list[str], environment: Mapping[str, str], folder: Path, grace: float
    ) -> None:
        self.name, self.command, self.environment, self.grace = name, command, environment, grace
        self.log, self.pidfile = folder / f"{name}.log", folder / f"{name}.pid"
        self.process: subprocess.Popen[bytes] | None = None
        self.born = self.due = 0.0
        self.pause = 1.0  # seconds before the next start

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        supervisor = [sys.executable, "-I", "-S", str(SUPERVISOR), str(self.grace), str(self.pidfile)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*supervisor, *self.command],
                cwd=SUPERVISOR.parent.parent,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the keeper alone
            )
        self.born = time.monotonic()

    @property
    def ended(self) -> int | None:
        """Exit status, or None while it runs."""
        return self.process.poll() if self.process else 0

    def look(self) -> str | None:
        """Start again what died, each time after a longer pause; returns what there is to say, if anything."""
        if self.ended is None:
            return None
        now = time.monotonic()
        if not self.due:
            self.pause = 1.0 if now - self.born > STEADY else min(self.pause * 2, LONGEST_PAUSE)
            self.due = now + self.pause
            return f"{self.name} ended with status {self.ended}; starting it again in {self.pause:g} s ({self.log})"
        if now < self.due:
            return None
        self.due = 0.0
        self.start()
        return f"{self.name} started again"

    def stop(self) -> None:
        """SIGTERM to its process group, SIGKILL after the grace."""
        if self.process is None or self.process.stdin is None:
            return
        with contextlib.suppress(OSError):  # it may be gone
            os.write(self.process.stdin.fileno(), STOP)
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=self.grace + 10)
        self.process = None

    def last_lines(self, count: int = 15) -> str:
        """The end of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
        return "(no log)"
