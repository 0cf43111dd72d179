"""What runs the jobs of a plan: in this process, over processes of this machine, or on Ray. The result is the same.

A job is the name of a task, the plan's folder and a number; what it makes stands in the folder, as a whole or not
at all. So a job that ran twice does no harm, and a job that ran before is passed over.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

Task = Callable[[Path, int, Callable[[int], None]], None]
Progress = Callable[[int], None]  # bytes done in all


class Engine(Protocol):
    """Runs one task for many numbers. Raises what a job raised."""

    def run(self, task: str, folder: Path, numbers: Iterable[int], progress: Progress) -> None:
        """Returns when all jobs are done."""

    def close(self) -> None:
        """End what was started."""
