"""Whether files were touched since they were last hashed, as the file system tells it."""

import os
import time
from pathlib import Path

# A change within the same clock tick as the one before would not show; no file system's tick is this long
SETTLED_SECONDS = 2.0

State = list[tuple[str, int, int, int, int]]


def settled(folder: Path) -> State | None:
    """(path, size, mtime, ctime, inode) of every file below a folder; None while one is only seconds old.

    The time of the last change (ctime) cannot be set back by a program, unlike the time of modification.
    """
    rows: State = []
    newest = 0.0
    for where, _, names in os.walk(folder):
        for name in names:
            path = f"{where}/{name}"
            status = os.lstat(path)
            newest = max(newest, status.st_ctime)
            rows.append((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    return sorted(rows) if time.time() - newest > SETTLED_SECONDS else None
