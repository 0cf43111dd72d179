"""`plumbline rank --all`: the pages of all runs of this host that wait and that a worker goes on with.

`plumbline up` keeps one such process; beside a worker of your own, start it as you start the worker.
"""

import asyncio
import time
from pathlib import Path

from flows.rank_page import Opened, open_page, serve
from flows.up import until_stopped
from tasks.failures import BadConfig
from tasks.rank.page.house import House
from tasks.run import RunRecord, records

LOOK = 2.0  # seconds between looks at which runs wait
AGAIN = 30.0  # seconds until a page that could not be served, or whose run was told to go on, is looked at again


def rank_all() -> None:
    """Serve until Ctrl-C or SIGTERM. A page that cannot be served is said, and tried again.

    Raises BadConfig when no server is named that could be told to go on.
    """
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise BadConfig("PREFECT_API_URL is not set: --all serves runs of workers; for one of a terminal, name it")
    print("serves the ranking pages of waiting runs; Ctrl-C ends it, nothing that was saved is lost", flush=True)
    with until_stopped():
        try:
            asyncio.run(_Host().look_after_all())
        except KeyboardInterrupt:
            print("ended; next: plumbline rank --all", flush=True)


class _Host:
    def __init__(self) -> None:
        self.houses: dict[int, House] = {}
        self.served: dict[str, asyncio.Task[None]] = {}  # by desk: two runs with the same candidates share a page
        self.rested: dict[str, float] = {}  # monotonic time before which a desk is left alone

    async def look_after_all(self) -> None:
        try:
            while True:
                for record in await asyncio.to_thread(_waiting):
                    await self._open(record)
                await asyncio.sleep(LOOK)
                self.served = {desk: task for desk, task in self.served.items() if not task.done()}
        finally:
            for task in self.served.values():
                task.cancel()
            await asyncio.gather(*self.served.values(), return_exceptions=True)

    async def _open(self, record: RunRecord) -> None:
        desk = Path(record.waiting["file"]).parent.name
        if desk in self.served or time.monotonic() < self.rested.get(desk, 0.0):
            return
        self.rested[desk] = time.monotonic() + AGAIN
        try:
            opened = await asyncio.to_thread(open_page, record, [], None, None)
        except Exception as problem:  # of a run of an older version, perhaps
            _say(record, problem)
            return
        self.served[desk] = asyncio.create_task(self._serve(opened))

    async def _serve(self, opened: Opened) -> None:
        house = self.houses.setdefault(opened.port, House(opened.port))
        try:
            await serve(opened, house)
        except Exception as problem:  # one page must not take the others down
            _say(opened.record, problem)
        self.rested[opened.desk.folder.name] = time.monotonic() + AGAIN


def _waiting() -> list[RunRecord]:
    """Runs whose page is to be served here, the oldest first."""
    found = [record for record in records() if record.state == "Waiting" and record.waiting["by"] == "worker"]
    return [record for record in found if record.config["rank"]["people"].get("page", {}).get("serve", True)]


def _say(record: RunRecord, problem: Exception) -> None:
    print(
        f"{time.strftime('%H:%M:%S')} {record.run}: {type(problem).__name__}: {problem}; tried again in {AGAIN:g} s",
        flush=True,
    )
