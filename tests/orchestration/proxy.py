"""The shipped TLS proxy in front of a test server: Caddy with deploy/docker/Caddyfile and a fresh certificate."""

import os
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from service import free_port, wait_until

CADDYFILE = Path(__file__).parents[2] / "deploy" / "docker" / "Caddyfile"


@contextmanager
def tls_proxy(folder: Path, upstream_port: int) -> Iterator[dict[str, str]]:
    """Start it; gives what a client needs: PREFECT_API_URL and PREFECT_API_SSL_CERT_FILE. Skips without Caddy."""
    caddy, openssl = shutil.which("caddy"), shutil.which("openssl")
    if not caddy or not openssl:
        pytest.skip("no caddy or no openssl: apt-get install caddy openssl")
    folder.mkdir(parents=True)
    cert, key, port = folder / "cert.pem", folder / "key.pem", free_port()
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PLUMBLINE_PORT": str(port),
        "PLUMBLINE_UPSTREAM": f"127.0.0.1:{upstream_port}",
        "PLUMBLINE_TLS_CERT": str(cert),
        "PLUMBLINE_TLS_KEY": str(key),
    }
    run = [caddy, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(run, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    url = f"https://localhost:{port}/api"
    try:
        wait_until(lambda: _answers(f"{url}/health", cert), 60, "the start of the proxy")
        yield {"PREFECT_API_URL": url, "PREFECT_API_SSL_CERT_FILE": str(cert)}
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(url: str, cert: Path) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5, context=ssl.create_default_context(cafile=cert)).status == 200
    except OSError:
        return False
