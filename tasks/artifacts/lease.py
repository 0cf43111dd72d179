"""One writer per key: a lease with a heartbeat and a fence number.

Claiming number N is the exclusive creation of ``leases/KEY/N.json``, so of any number of takers one wins, on a disk
as on an object store. The highest number is in force. Numbers of a key only rise: the last record is never deleted,
and a claim also goes beyond every generation in the store. A late writer sees a higher number and is refused; should
it fall asleep after its last look, its generation carries the lower number and is superseded from the start.
"""

import secrets
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tasks.artifacts.backend import Backend
from tasks.artifacts.failures import LeaseHeld, LeaseLost
from tasks.artifacts.holder import Holder, claim_path, claims, deadline, live_holder, myself, patience, read_holder
from tasks.failures import StorageFailure


class Lease:
    """The right to write one key. A context manager that waits for its turn; or ``acquire`` and ``release``."""

    def __init__(self, backend: Backend, stage: str, key: str, ttl: float, newest: Callable[[], int]) -> None:
        """ttl: seconds without a heartbeat after which another host takes over.
        newest: number of the newest generation of the key, 0 when there is none.
        """
        self.stage, self.key, self.ttl = stage, key, ttl
        self.owner = secrets.token_hex(16)
        self.fence = 0
        self._backend, self._newest = backend, newest
        self._lost: str | None = None
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._renewed = 0.0
        self._beat = 0

    def acquire(self, wait: float | None = None) -> Self:
        """Take the lease; wait at most so many seconds for a live holder (None: as long as it takes).

        Raises LeaseHeld naming host and process of the holder, StorageFailure when the store cannot be written.
        """
        limit, said = deadline(wait), False
        while True:
            try:
                holder = self._try()
            except OSError as error:
                raise StorageFailure(
                    f"lease of {self._what()} cannot be claimed in {self._where()}: {error}"
                ) from error
            if holder is None:
                return self
            who = f"{self._what()} is being made by process {holder.pid} on {holder.host} (fence {holder.fence})"
            if time.monotonic() >= limit:
                raise LeaseHeld(f"{who}; waited {wait:g} s: wait for it, or stop that process")
            if not said:
                print(f"waiting: {who}", file=sys.stderr, flush=True)
                said = True
            time.sleep(patience(self.ttl))

    def _try(self) -> Holder | None:
        """Claim the next number. None when it is ours now, else who holds the lease."""
        while True:
            last = max(claims(self._backend, self.key), default=0)
            holder = live_holder(self._backend, self.key, last, self.ttl) if last else None
            if holder:
                return holder
            mine = myself(self.stage, self.owner, max(last, self._newest()) + 1, self.ttl)
            begin = time.monotonic()
            try:
                self._backend.create(claim_path(self.key, mine.fence), mine.model_dump_json().encode())
            except FileExistsError:
                continue
            # Someone whose look at the claims was older than ours may have passed us by
            if max(claims(self._backend, self.key), default=0) == mine.fence:
                self._start(mine, begin)
                return None

    def _start(self, mine: Holder, now: float) -> None:
        self.fence, self._renewed, self._lost, self._beat = mine.fence, now, None, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {self.key[:8]}", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        """The heartbeat. A store that cannot be reached is tried again sooner: that alone loses no lease."""
        pause = self.ttl / 3
        while not self._stop.wait(pause):
            try:
                self._renew()
                pause = self.ttl / 3
            except LeaseLost:
                return
            except Exception as error:
                print(f"lease of {self._what()}: heartbeat failed, trying again: {error}", file=sys.stderr, flush=True)
                pause = self.ttl / 10

    def _renew(self) -> None:
        begin = time.monotonic()
        self.confirm()
        with self._writing:
            if not self._stop.is_set():
                self._beat += 1
                self._write(released=False)
                self._renewed = begin

    def _write(self, released: bool) -> None:
        mine = myself(self.stage, self.owner, self.fence, self.ttl)
        record = mine.model_copy(update={"beat": self._beat, "released": released})
        self._backend.replace(claim_path(self.key, self.fence), record.model_dump_json().encode())

    def check(self) -> None:
        """Cheap, for a few calls a second. Raises LeaseLost once the heartbeat saw another holder."""
        if self._lost:
            raise LeaseLost(self._lost)
        # This process was stopped, or the store away: somebody may have taken over meanwhile
        if self.fence and time.monotonic() - self._renewed > self.ttl:
            try:
                self.confirm()
            except OSError:
                return
            self._renewed = time.monotonic()

    def confirm(self) -> None:
        """Look into the store. Raises LeaseLost when the lease is not, or no longer, ours."""
        if self._lost or not self.fence:
            raise LeaseLost(self._lost or f"lease of {self._what()} is not held: acquire it first")
        last = max(claims(self._backend, self.key), default=0)
        holder = read_holder(self._backend, self.key, last) if last >= self.fence else None
        if last > self.fence or (holder and holder.owner != self.owner):
            who = f"process {holder.pid} on {holder.host}" if holder else "another process"
            self._lost = (
                f"lease of {self._what()} with fence {self.fence} was taken over by {who} with fence {last}: "
                "this late writer is refused; the other's artifact counts"
            )
            raise LeaseLost(self._lost)

    def release(self) -> None:
        """Give the lease back. Nothing happens when it was lost or never held. Raises StorageFailure."""
        self._stop.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        self._thread = None
        if not self.fence:
            return
        try:
            with self._writing:
                self.confirm()
                self._write(released=True)
        except LeaseLost:
            return
        except OSError as error:
            raise StorageFailure(f"lease of {self._what()} cannot be released in {self._where()}: {error}") from error
        finally:
            self.fence = 0

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _what(self) -> str:
        return f"{self.stage} {self.key[:12]}"

    def _where(self) -> str:
        return self._backend.uri(f"leases/{self.key}")
