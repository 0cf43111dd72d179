"""`plumbline up`: a local Prefect server, the deployments, a worker, and the ranking pages, until Ctrl-C."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flows.kept import Kept
from tasks.failures import BadConfig, LostWorker
from tasks.run import home

HOST = "127.0.0.1"
START = 240.0  # seconds that a loaded machine may need until its server answers
LOOK = 0.3  # seconds
PAGES = "from flows.cli import main; main(['rank', '--all'])"
SETTINGS = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",  # what is started in the UI runs at once
    "PREFECT_WORKER_ENABLE_CANCELLATION": "true",  # also of runs that have not begun
    "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "5",
    "PREFECT_CLIENT_MAX_RETRIES": "20",  # flows wait for a server that is started again
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}


def up(port: int) -> None:
    """Start, print the URL, keep alive what dies, end everything. Raises BadConfig when the port is taken."""
    check_port(port)
    url = f"http://{HOST}:{port}"
    environment = _prepare(url)
    folder = home() / "up"
    server = Kept("server", _prefect("server", "start", "--host", HOST, "--port", str(port)), environment, folder, 10)
    worker = Kept(
        "worker", _prefect("worker", "start", "--pool", "plumbline", "--name", "local"), environment, folder, 30
    )
    pages = Kept("pages", [sys.executable, "-c", PAGES], environment, folder, 10)
    with until_stopped():
        try:
            _start(server, worker, url)
            pages.start()
            while True:
                for kept in (server, worker, pages):
                    if said := kept.look():
                        print(said, flush=True)
                time.sleep(LOOK)
        except KeyboardInterrupt:
            print("\nending; runs stop at a checkpoint and go on when it is up again", flush=True)
        finally:
            pages.stop()
            worker.stop()
            server.stop()
    print(f"next: plumbline up --port {port}")


def _start(server: Kept, worker: Kept, url: str) -> None:
    print(f"starting a Prefect server on {url}", flush=True)
    server.start()
    from prefect.client.orchestration import get_client  # imported while the server starts

    from flows.deploy import POOL, ensure_pool, read_deployments, register_all

    _wait_for(server, url)
    with get_client(sync_client=True) as client:
        ensure_pool(client, POOL)
        worker.start()
        register_all(client)
    print(
        f"server      {url}\ndeployments {len(read_deployments())}, at {url}/deployments\n"
        f"worker      pool {POOL}, runs in {home()}\nlogs        {server.log.parent}\n\n"
        f"In other terminals: export PREFECT_API_URL={url}/api\n"
        "Ctrl-C ends server, worker and their runs.\n\n"
        "next: plumbline status, or Quick run at " + f"{url}/deployments",
        flush=True,
    )


def check_port(port: int) -> None:
    """Raises BadConfig that names the option when a port of this host is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just ended is no obstacle
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadConfig(
                f"port {port} of {HOST} is taken ({error.strerror}); take another: --port {port + 1}"
            ) from None


def _prepare(url: str) -> dict[str, str]:
    """Settings of this process, the server and the worker; what the user has set stays, except for the address."""
    os.environ["PREFECT_API_URL"] = f"{url}/api"
    # Pages of other sites that the operator visits can neither read nor drive the server
    os.environ.setdefault("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true")
    os.environ.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", f"{url},{url.replace(HOST, 'localhost')}")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if password := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", password)
    os.environ["PLUMBLINE_HOME"] = str(home())  # flows run in the project's folder, not in this one
    worker_settings = dict(os.environ)
    worker_settings.pop("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", None)
    return worker_settings


def _prefect(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prefect", "--no-prompt", *arguments]


def _wait_for(server: Kept, url: str) -> None:
    import httpx

    limit = time.monotonic() + START
    while time.monotonic() < limit and server.ended is None:
        try:
            if httpx.get(f"{url}/api/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(LOOK)
    what = f"ended with status {server.ended}" if server.ended is not None else f"did not answer within {START:g} s"
    raise LostWorker(f"the Prefect server {what}; its last lines in {server.log}:\n{server.last_lines()}")


@contextmanager
def until_stopped() -> Iterator[None]:
    """SIGTERM and a closed terminal end it as Ctrl-C does; shells start what is in the background without Ctrl-C."""
    signs = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(sign, signal.default_int_handler) for sign in signs]
    try:
        yield
    finally:
        for sign, handler in zip(signs, before, strict=True):
            signal.signal(sign, handler)
