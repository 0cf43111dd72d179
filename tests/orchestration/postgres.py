"""A PostgreSQL cluster of its own: in a temporary folder, on the loopback, with a password.

``PLUMBLINE_TEST_DATABASE=postgres`` makes every test server of this folder use one instead of SQLite.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

SWITCH = "PLUMBLINE_TEST_DATABASE"


@contextmanager
def database_settings() -> Iterator[dict[str, str]]:
    """Environment of a Prefect server: nothing for SQLite, the URL of a fresh cluster when the switch says so."""
    wanted = os.environ.get(SWITCH, "sqlite")
    if wanted == "sqlite":
        yield {}
        return
    if wanted != "postgres":
        raise ValueError(f"{SWITCH}={wanted!r}: sqlite or postgres")
    with postgres() as url:
        yield {"PREFECT_API_DATABASE_CONNECTION_URL": url}


@contextmanager
def postgres() -> Iterator[str]:
    """Start a cluster; gives the URL for PREFECT_API_DATABASE_CONNECTION_URL. Skips where there are no binaries."""
    binaries = find_binaries()
    # Not below pytest's folder: PostgreSQL refuses to be root, and its user may not enter there; socket paths are short
    folder = Path(tempfile.mkdtemp(prefix="plumbline-pg-"))
    user = _unprivileged(folder)
    password, port = secrets.token_hex(16), _free_port()
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password, encoding="ascii")
    if user:
        shutil.chown(secret, user)
    data = str(folder / "data")
    initdb = [str(binaries / "initdb"), "-D", data, "-U", "prefect", "--auth=scram-sha-256", f"--pwfile={secret}"]
    serve = [str(binaries / "postgres"), "-D", data, "-p", str(port), "-k", str(folder)]
    settings = ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=100"]
    server = None
    try:
        with (folder / "log").open("wb") as log:
            subprocess.run([*initdb, "--no-sync"], check=True, stdout=log, stderr=log, user=user, cwd=folder)
            options = [part for item in settings for part in ("-c", item)]
            server = subprocess.Popen([*serve, *options], stdout=log, stderr=log, user=user, cwd=folder)
        _wait_until_ready(binaries, port, server, folder / "log")
        yield f"postgresql+asyncpg://prefect:{password}@127.0.0.1:{port}/postgres"
    finally:
        if server:
            server.send_signal(signal.SIGINT)  # fast shutdown: end the sessions, then write everything
            server.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def has_postgres() -> bool:
    """Whether this machine has the server's binaries."""
    return bool(_initdb())


def find_binaries() -> Path:
    """Folder with initdb, postgres and pg_dump. Skips the test when there is none."""
    if found := _initdb():
        return found[-1].resolve().parent
    pytest.skip("no PostgreSQL binaries: apt-get install postgresql")


def _initdb() -> list[Path]:
    """Every initdb, the one to use last."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    chosen = shutil.which("initdb")
    return [*versions, *([Path(chosen)] if chosen else [])]


def dump(url: str) -> str:
    """The whole database as SQL text."""
    parts = urlsplit(url)
    command = [str(find_binaries() / "pg_dump"), "-h", str(parts.hostname), "-p", str(parts.port), "-U", "prefect"]
    env = {**os.environ, "PGPASSWORD": str(parts.password)}
    return subprocess.run([*command, "postgres"], env=env, check=True, capture_output=True, text=True).stdout


def _unprivileged(folder: Path) -> str | None:
    """The user that the server runs as when the tests run as root, now owner of the folder."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in known else "nobody"
    shutil.chown(folder, user)
    return user


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(binaries: Path, port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    ask = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    limit = time.monotonic() + 60
    while subprocess.run(ask, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > limit:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")
        time.sleep(0.1)
