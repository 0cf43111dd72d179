"""One port, and the ranking pages of any number of desks behind it: each under its own first part of the path."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.failures import BadConfig
from tasks.rank.page.app import Page

HOST = "127.0.0.1"


class House:
    """Listens on a port of the loopback while it has a page."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.apps: dict[str, ASGIApp] = {}
        self.server: _Server | None = None
        self.listening: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        desk = scope["path"].split("/")[1]
        if scope["type"] == "http" and desk in self.apps:
            await self.apps[desk]({**scope, "root_path": f"/{desk}"}, receive, send)
        else:
            await PlainTextResponse("open the link that you were given\n", 404)(scope, receive, send)

    async def admit(self, page: Page) -> None:
        """Open a page and its book. Raises BadConfig for a port that is taken or a database that does not answer."""
        if self.server is None:
            self._listen()
        try:
            await page.book.open()
        except BaseException:
            await self._close_empty()
            raise
        self.apps[page.book.desk] = page.app()

    async def dismiss(self, page: Page) -> None:
        """Close a page; with the last one the port is free again."""
        self.apps.pop(page.book.desk, None)
        await self._close_empty()
        await page.book.close()

    def _listen(self) -> None:
        self.server = _Server(
            uvicorn.Config(
                self, HOST, self.port, log_level="warning", access_log=False, lifespan="off", server_header=False,
                timeout_graceful_shutdown=5,
            )
        )  # fmt: skip
        try:
            taken = bind(self.port)
        except BadConfig:
            self.server = None
            raise
        self.listening = asyncio.create_task(self.server.serve([taken]))

    async def _close_empty(self) -> None:
        if not self.apps and self.server is not None and self.listening is not None:
            self.server.should_exit = True
            await self.listening
            self.server = self.listening = None


def bind(port: int) -> socket.socket:
    """A socket on a port of this host. Raises BadConfig when it is taken."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a page that has just ended is no obstacle
    try:
        found.bind((HOST, port))
        found.listen()
    except OSError as error:
        found.close()
        raise BadConfig(
            f"port {port} of {HOST} is taken ({error.strerror}); take another: --port, or rank.people.page.port"
        ) from None
    return found


class _Server(uvicorn.Server):
    """One of several in a process: signals are for the process to handle."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
