"""How far a running stage is: percent, current values, time left; and when it is time to say so again."""

import time
from dataclasses import dataclass, field
from typing import Any

from tasks.report.numbers import show, words

FIRST = 8.0  # seconds; what is over sooner shows no progress
SOONEST, RAREST = 3.0, 30.0  # seconds between two updates; in between, a fiftieth of the time it has run


def duration(seconds: float) -> str:
    """ "0.4 s", "12 s", "3m 05s", "2h 07m"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}h {minutes:02}m"


@dataclass
class Progress:
    """Live progress of one attempt at a stage."""

    begun: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)
    first: tuple[float, int, str] | None = None  # time, done and unit of the first event of the unit that counts now
    last: dict[str, Any] | None = None
    visible: bool = False

    def note(self, event: dict[str, Any]) -> bool:
        """Take a progress event in; True when it is time to show it."""
        now = time.monotonic()
        if self.first is None or self.first[2] != event["unit"]:
            self.first = (now, event["done"], event["unit"])
        self.last = event
        if now - self.begun < FIRST or now - self.shown < max(SOONEST, min(RAREST, (now - self.begun) / 50)):
            return False
        self.shown, self.visible = now, True
        return True

    @property
    def seconds(self) -> float:
        """Since the stage was started."""
        return time.monotonic() - self.begun

    @property
    def percent(self) -> float:
        """0 to 100."""
        return min(100.0, 100.0 * self.last["done"] / max(self.last["total"], 1)) if self.last else 0.0

    @property
    def short(self) -> str:
        """How much is done, and how long it will still take; "" before the first event."""
        if self.last is None or self.first is None:
            return ""
        done, total = self.last["done"], self.last["total"]
        since, first, unit = self.first
        text = f"{done:,} of {total:,} {unit}"
        if not first < done < total:
            return text
        return f"{text} · about {duration((time.monotonic() - since) / (done - first) * (total - done))} left"

    def __str__(self) -> str:
        """The same, with the current values."""
        values = self.last["values"] if self.last else {}
        return " · ".join([self.short, *(f"{_named(name)} {show(value)}" for name, value in values.items())])


def _named(name: str) -> str:
    """A rate's unit as it is written: "tok_s" → "tok/s"."""
    return words(f"{name.removesuffix('_s')}/s" if name.endswith("_s") else name)
