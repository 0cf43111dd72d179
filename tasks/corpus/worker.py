"""A process that works at jobs of a plan: reads one JSON line a job, answers with one JSON line an event.

    python -m tasks.corpus.worker PARENT

It ends with its input, and at once when its parent is killed.
"""

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

PROGRESS = 0.5  # seconds between two reports
PR_SET_PDEATHSIG = 1  # of prctl(2)


def main(parent: int) -> None:
    """Work until the input ends."""
    _end_with(parent)
    # Only now: these take a second to import
    from tasks.child import failure_class
    from tasks.corpus.jobs import TASKS
    from tasks.failures import StageFailure

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # what a library prints is no answer
    last = 0.0

    def answer(**event: object) -> None:
        answers.write(json.dumps(event) + "\n")
        answers.flush()

    def report(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS:
            last = time.monotonic()
            answer(event="progress", done=done)

    for line in sys.stdin:
        job = json.loads(line)
        try:
            TASKS[job["task"]](Path(job["folder"]), job["number"], report)
            answer(event="done")
        except Exception as error:
            if not isinstance(error, StageFailure):
                traceback.print_exc()
            message = str(error) if isinstance(error, StageFailure) else f"{type(error).__name__}: {error}"
            answer(event="failed", failure=failure_class(error), message=message)


def _end_with(parent: int) -> None:
    """Let the system kill this process when its parent dies; where it cannot, the end of the input does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it was quicker
            os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
