"""The ranking page of a sheet, without a run: ``python ranking_server.py SHEET PORT NAMES OVERLAP``, or in-process.

With ``again`` as the last word, it serves again at once when it is killed.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from tasks.rank.page.app import Page
from tasks.rank.page.book import Book
from tasks.rank.page.tables import open_engine
from tasks.rank.page.tokens import Tokens, read_secret
from tasks.rank.page.work import read_items

DESK = "0123456789abcdef"


def make_page(sheet: Path, port: int, names: list[str], overlap: int = 1, database: str = "") -> Page:
    book = Book(open_engine(database, sheet.with_name("page.sqlite")), DESK, read_items(sheet))
    hosts = frozenset({f"127.0.0.1:{port}", "testserver"})
    return Page(book, Tokens(read_secret(sheet.parent), names), hosts, overlap, len(book.sheet))


@contextmanager
def served(sheet: Path, port: int, names: list[str], overlap: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that answers."""
    here = Path(__file__)
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    command = [sys.executable, str(here), str(sheet), str(port), ",".join(names), str(overlap)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until_it_answers(port)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def wait_until_it_answers(port: int, desk: str = "", seconds: float = 120) -> None:
    address = f"http://127.0.0.1:{port}{'/' if desk else ''}{desk}/healthy"
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise AssertionError("the page does not answer")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def keep() -> None:
    """Serve in a child; after its death in another, which costs a fork and no imports. Prints their process numbers."""
    while True:
        child = os.fork()
        if not child:
            main()
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)


def main() -> None:
    sheet, port, names, overlap = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4])

    async def serve() -> None:
        page = make_page(sheet, port, names, overlap)
        await page.book.open()
        config = uvicorn.Config(page.app(), "127.0.0.1", port, log_level="warning", access_log=False, lifespan="off")
        await uvicorn.Server(config).serve()

    asyncio.run(serve())


if __name__ == "__main__":
    keep() if sys.argv[5:] == ["again"] else main()
