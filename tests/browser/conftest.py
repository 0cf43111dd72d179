"""`plumbline up` on a free port, with a home of its own, and a browser in front of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import Pages

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("PLUMBLINE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# Nothing but the page under test: no sandbox inside a container, no calls home
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """Settings of a home of its own; nothing of the developer's Prefect."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PLUMBLINE_"))}
    return {**inherited, "PREFECT_HOME": str(folder / "prefect"), "PLUMBLINE_HOME": str(folder / "home")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """URL of a running `plumbline up` and its PLUMBLINE_HOME."""
    folder = tmp_path_factory.mktemp("up")
    port, log = free_port(), folder / "up.log"
    command = [sys.executable, "-c", "from flows.cli import main; main()", "up", "--port", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(folder), stdout=sink, stderr=sink)
    try:
        limit = time.monotonic() + 400
        while "next:" not in log.read_text(encoding="utf-8"):
            said = log.read_text(encoding="utf-8")
            assert process.poll() is None, said
            assert time.monotonic() < limit, said
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}", folder / "home"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)


@pytest.fixture(scope="module")
def pages(site: tuple[str, Path]) -> Iterator[Pages]:
    """The Prefect UI in a real browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install plumbline[browser]")
    if CHROMIUM is None:
        pytest.skip("no Chromium: install it, or set PLUMBLINE_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield Pages(site[0], browser.new_page(viewport={"width": 1280, "height": 900}))
        browser.close()
