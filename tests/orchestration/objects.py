"""An S3 server of its own on the loopback (moto), with one bucket, and what lies in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Bucket:
    """A bucket: its URL, and what a client needs in its environment."""

    url: str
    environment: Mapping[str, str]
    files: Any  # s3fs.S3FileSystem

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Every object, as (name, bytes)."""
        for name in self.files.find(self.url):
            yield name, self.files.cat_file(name)


@contextmanager
def bucket(access_key: str, secret_key: str) -> Iterator[Bucket]:
    """Start the server. Skips without moto or s3fs."""
    pytest.importorskip("moto.server", reason="pip install -e .[test]")
    s3fs = pytest.importorskip("s3fs", reason="pip install -e .[s3]")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    files = s3fs.S3FileSystem(key=access_key, secret=secret_key, endpoint_url=endpoint, skip_instance_cache=True)
    files.mkdir("plumbline")
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        yield Bucket("s3://plumbline/store", environment, files)
    finally:
        server.stop()
