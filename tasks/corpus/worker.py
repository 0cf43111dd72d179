"""A process that works at jobs of a plan: reads one JSON line a job, answers with one JSON line an event.

    python -m tasks.corpus.worker PARENT

It ends with its input. While it works it looks for its parent, so that it never outlives a killed one.
"""

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from tasks.child import failure_class
from tasks.corpus.engine import tasks
from tasks.failures import StageFailure

WATCH = 0.5  # seconds between two looks for the parent


def main(parent: int) -> None:
    """Work until the input ends."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # what a library prints is no answer
    last = 0.0

    def answer(**event: object) -> None:
        answers.write(json.dumps(event) + "\n")
        answers.flush()

    def report(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > WATCH:
            last = time.monotonic()
            answer(event="progress", done=done)

    for line in sys.stdin:
        job = json.loads(line)
        try:
            tasks()[job["task"]](Path(job["folder"]), job["number"], report)
            answer(event="done")
        except Exception as error:
            if not isinstance(error, StageFailure):
                traceback.print_exc()
            message = str(error) if isinstance(error, StageFailure) else f"{type(error).__name__}: {error}"
            answer(event="failed", failure=failure_class(error), message=message)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
