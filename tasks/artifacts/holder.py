"""Who holds a lease: one small record a claim, and whether the process that made it still lives."""

import os
import socket
import time
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.artifacts.backend import Backend
from tasks.supervisor import start_ticks

# A claim that no record can be read from, or a heartbeat that stopped: seconds beyond the time to live before
# another host takes over. Object stores keep whole seconds.
CLOCK_STEP = 2.0


class Holder(BaseModel):
    """``leases/KEY/FENCE.json``: the process that claimed this fence number of this key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    owner: str
    host: str
    machine: str
    pid: int
    ticks: str
    fence: int
    ttl: float
    beat: int = 0
    released: bool = False

    def dead(self) -> bool:
        """Known to be gone: released, or a process of this machine that ended. Another machine's is never known."""
        if self.released:
            return True
        return bool(self.ticks) and self.machine == machine() and start_ticks(self.pid) != self.ticks


@cache
def machine() -> str:
    """Names this boot of this machine and its process numbers: containers share host names, and so do reboots."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbers = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return f"{socket.gethostname()}:unknown"
    return f"{socket.gethostname()}:{boot}:{numbers}"


def myself(stage: str, owner: str, fence: int, ttl: float) -> Holder:
    pid = os.getpid()
    return Holder(
        stage=stage, owner=owner, host=socket.gethostname(), machine=machine(), pid=pid, ticks=start_ticks(pid),
        fence=fence, ttl=ttl,
    )  # fmt: skip


def claim_path(key: str, fence: int) -> str:
    return f"leases/{key}/{fence:08d}.json"


def claims(backend: Backend, key: str) -> list[int]:
    """Fence numbers that were claimed and are still on record, rising. The last one is in force."""
    stems = (name.removesuffix(".json") for name in backend.names(f"leases/{key}"))
    return sorted(int(stem) for stem in stems if stem.isdigit())


def read_holder(backend: Backend, key: str, fence: int) -> Holder | None:
    """The record of a claim; None when there is none, or it cannot be read."""
    try:
        return Holder.model_validate_json(backend.read(claim_path(key, fence)))
    except (FileNotFoundError, ValidationError):
        return None


def live_holder(backend: Backend, key: str, fence: int, ttl: float) -> Holder | None:
    """Who holds this claim now; None when it can be taken over.

    Same machine: as long as the process lives, however late its heartbeat. Another machine: until the heartbeat is
    older than its time to live, by the store's own clock, so that two machines' clocks never matter.
    """
    holder = read_holder(backend, key, fence)
    if holder and holder.dead():
        return None
    if holder and holder.machine == machine() and holder.ticks:
        return holder
    try:
        age = backend.age(claim_path(key, fence))
    except FileNotFoundError:
        return None
    if age > (holder.ttl if holder else ttl) + CLOCK_STEP:
        return None
    unknown = Holder(stage="", owner="", host="unknown", machine="", pid=0, ticks="", fence=fence, ttl=ttl)
    return holder or unknown


def patience(ttl: float) -> float:
    """Seconds between two looks at somebody else's lease."""
    return min(1.0, ttl / 20)


def deadline(wait: float | None) -> float:
    return float("inf") if wait is None else time.monotonic() + wait
