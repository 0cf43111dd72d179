"""A store in an empty folder, a short way to commit a few files, and an S3 server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.artifacts import ArtifactRef, Draft, Store

Commit = Callable[..., ArtifactRef]
KEY = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def commit() -> Commit:
    def commit(store: Store, files: dict[str, bytes], stage: str = "corpus", key: str = KEY) -> ArtifactRef:
        with store.lease(stage, key) as lease:
            out = store.stage_out(lease)
            for name, data in files.items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(data)
            return store.commit(out, Draft(stage=stage, version=1, kind="text", key=key), lease)

    return commit


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """An S3 server on the loopback, with one bucket."""
    pytest.importorskip("moto.server", reason="pip install 'moto[server]' s3fs")
    s3fs = pytest.importorskip("s3fs")
    from moto.server import ThreadedMotoServer

    patch = pytest.MonkeyPatch()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("bucket")
    yield "s3://bucket"
    server.stop()
    patch.undo()
