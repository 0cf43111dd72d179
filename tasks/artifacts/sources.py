"""Digests of raw input files, remembered, so that a rerun does not read terabytes again."""

import atexit
import fcntl
import json
import secrets
import time
from pathlib import Path
from typing import Any

from tasks.artifacts.digest import sha256_file
from tasks.artifacts.ref import SourceEntry
from tasks.failures import BadData

# A file changed this recently may change again without its time moving on
FRESH_SECONDS = 2.0
SAVE_SECONDS = 1.0


class SourceDigests:
    """``source-digests.json``: path → size, mtime in ns, inode and SHA-256. Only ever a cache: it may be deleted."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[str, list[Any]] | None = None
        self._new: dict[str, list[Any]] = {}
        self._saved = -SAVE_SECONDS

    def digest(self, path: Path) -> SourceEntry:
        """Size and SHA-256 of a file; hashed again unless it is known and untouched. What is seconds old
        is not remembered: a second change within a clock tick would not show.

        Raises BadData when the file cannot be read, or changes while it is.
        """
        path = path.absolute()
        if self._known is None:
            self._known = self._load()
        try:
            before = _signature(path)
            row = self._new.get(str(path)) or self._known.get(str(path))
            if row and row[:3] == before and isinstance(row[3], str):
                return SourceEntry(named="", name=path.name, size=before[0], sha256=row[3])
            digest = sha256_file(path)
            after = _signature(path)
        except OSError as error:
            raise BadData(f"{path} cannot be read: {error}; correct the path in the recipe") from error
        if before != after:
            raise BadData(f"{path} changed while it was read ({before[0]} → {after[0]} bytes); run when it is finished")
        if not _fresh(after):
            self._new[str(path)] = [*after, digest]
            self._save_soon()
        return SourceEntry(named="", name=path.name, size=after[0], sha256=digest)

    def _load(self) -> dict[str, list[Any]]:
        try:
            rows = json.loads(self.file.read_bytes())
        except (OSError, ValueError):
            return {}
        good = rows.items() if isinstance(rows, dict) else ()
        return {path: row for path, row in good if isinstance(row, list) and len(row) == 4}

    def _save_soon(self) -> None:
        """At most once a second: a corpus may have a hundred thousand files."""
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()
        elif len(self._new) == 1:
            atexit.register(self.save)

    def save(self) -> None:
        """Merge what is new into the file, under a lock, by rename. A cache that cannot be written costs only time."""
        if not self._new:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                merged = {**self._load(), **self._new}
                new = self.file.with_name(f"{self.file.name}.{secrets.token_hex(8)}")
                new.write_text(json.dumps(merged), encoding="utf-8")
                new.replace(self.file)
        except OSError:
            return
        self._known, self._new, self._saved = merged, {}, time.monotonic()
        atexit.unregister(self.save)


def _signature(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _fresh(signature: list[int]) -> bool:
    return time.time() - signature[1] / 1e9 < FRESH_SECONDS
