"""Live progress of a stage: one JSON line an event, in a file that the parent follows.

A file and not a pipe: a child whose parent was killed must not die of a broken pipe before it saved.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"


@dataclass
class Live:
    """What a stage function gets to report with, and its working folder.

    ``work`` survives retries, reruns and other machines' attempts at the same key: checkpoints go there.
    """

    work: Path
    main: bool = True  # False on every process but the first: they stay silent
    _last: dict[str, float] = field(default_factory=dict)

    def progress(self, done: int, total: int, unit: str, **values: float) -> None:
        """Report that ``done`` of ``total`` units are finished, with the current values (loss, tok/s, …)."""
        now = time.monotonic()
        if done < total and now - self._last.get("progress", 0.0) < 0.5:
            return
        self._last["progress"] = now
        self._write({"event": "progress", "done": done, "total": total, "unit": unit, "values": values})

    def say(self, text: str) -> None:
        """One line for the reader: what was decided, found or left out."""
        self._write({"event": "say", "text": text})

    def _write(self, event: dict[str, Any]) -> None:
        if not self.main:
            return
        event["time"] = round(time.time(), 3)
        with (self.work / EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
