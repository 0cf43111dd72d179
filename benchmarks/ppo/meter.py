"""Time of iterations and memory of this process, for both sides of trl_ppo.py; the standard library alone."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def memory_mb(name: str) -> float:
    """``VmRSS`` (resident now) or ``VmHWM`` (the most that ever was) of this process; the latter without /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:")), 0.0)


class Meter:
    """Wall and CPU seconds of each iteration, and of the generation in it."""

    def __init__(self, torch: Any, device: str) -> None:
        """To be made right after the imports: what the process holds then is reported."""
        self._torch, self._cuda = torch, device == "cuda"
        self.imported_mb = memory_mb("VmRSS")
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.generation: list[float] = []
        self._generated = 0.0
        self._last = (0.0, 0.0)

    def begin(self) -> None:
        """Right before the first iteration."""
        self._last = self._now()

    def tick(self) -> None:
        """At the end of each iteration."""
        wall, cpu = self._now()
        self.wall.append(wall - self._last[0])
        self.cpu.append(cpu - self._last[1])
        self.generation.append(self._generated)
        self._last, self._generated = (wall, cpu), 0.0

    def generating(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time counts as generation."""

        def timed(*args: Any, **names: Any) -> Any:
            began = self._now()[0]
            try:
                return function(*args, **names)
            finally:
                self._generated += self._now()[0] - began

        return timed

    def result(self) -> dict[str, Any]:
        """Figures of all iterations and the peaks so far."""
        cuda = self._torch.cuda
        return {
            "wall": self.wall,
            "cpu": self.cpu,
            "generation": self.generation,
            "imported_mb": self.imported_mb,
            "peak_mb": memory_mb("VmHWM"),
            "device_peak_mb": cuda.max_memory_allocated() / 1e6 if self._cuda else 0.0,
        }

    def _now(self) -> tuple[float, float]:
        if self._cuda:
            self._torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()
