"""Live progress of a stage: one JSON line an event, in a file that the parent follows.

A file and not a pipe: a child whose parent was killed must not die of a broken pipe before it saved.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

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

    def start_at(self, done: int, unit: str) -> None:
        """Say from where training goes on, 0 for the beginning; the parent then knows how much was lost."""
        self._write({"event": "start_at", "done": done, "unit": unit})

    def say(self, text: str) -> None:
        """One line for the reader: what was decided, found or left out."""
        self._write({"event": "say", "text": text})

    def _write(self, event: dict[str, Any]) -> None:
        if not self.main:
            return
        event["time"] = round(time.time(), 3)
        with (self.work / EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


@dataclass
class Losses:
    """In the parent: compares how far the attempt before came with where this one begins.

    The events file keeps the answer when an attempt dies before it could say where it begins.
    """

    reached: int = 0

    @classmethod
    def begin(cls, events: Path) -> Self:
        """Read what the attempt before reported, and begin a new events file that remembers it."""
        try:
            lines = events.read_bytes().rpartition(b"\n")[0].splitlines()
        except FileNotFoundError:
            lines = []
        known = [event for event in map(json.loads, lines) if "done" in event]
        reached = known[-1]["done"] if known else 0
        line = json.dumps({"event": "reached", "done": reached}) + "\n"
        events.write_text(line if reached else "", encoding="utf-8")
        return cls(reached)

    def pass_on(self, event: dict[str, Any], on_event: Callable[[dict[str, Any]], None]) -> None:
        """Hand an event on. The one that says where training begins becomes a line for the reader, with the loss."""
        if event["event"] == "reached":
            return
        if event["event"] != "start_at":
            on_event(event)
            return
        done, unit = event["done"], event["unit"]
        lost = max(self.reached - done, 0)
        self.reached = 0
        if done or lost:
            one = unit.removesuffix("s")
            text = f"goes on at {one} {done}; {lost} {one if lost == 1 else unit} lost"
            on_event({"event": "say", "text": text, "resumed_at": done, "lost_steps": lost, "time": event["time"]})
