"""Sources by URI: fetched once and whole, from S3, HTTP, memory and a hub; what breaks on the way is named."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import huggingface_hub.constants
import pytest

import tasks.fetched
from tasks.artifacts import Store
from tasks.failures import BadConfig, BadData, StorageFailure
from tasks.fetched import fetch, origin
from tasks.formats import read_file
from tasks.sources import describe, find_files

COMMIT = "a" * 40
ROWS = b'{"text": "a"}\n{"text": "b"}\n'


class Site(BaseHTTPRequestHandler):
    """Files over HTTP, and the part of the hub's interface that its client asks for data sets."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    cut: int  # answers that break off in the middle
    lies: bool  # announce more than comes
    seen: list[str]

    def log_message(self, *args: Any) -> None:
        return

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.seen.append(f"{self.command} {self.path}")
        if path.startswith("/api/datasets/own/set/revision/"):
            known = path.endswith(("/main", COMMIT))
            self.send({"id": "own/set", "sha": COMMIT} if known else None)
        elif path.startswith(f"/api/datasets/own/set/tree/{COMMIT}"):
            tree = [
                {"type": "file", "path": name.partition(COMMIT + "/")[2], "size": len(data), "oid": "0" * 40}
                for name, data in self.files.items() if COMMIT in name
            ]  # fmt: skip
            self.send([*tree, {"type": "directory", "path": "data", "oid": "1" * 40}])
        else:
            self.send_file(self.files.get(path))

    def send(self, value: Any) -> None:
        data = json.dumps(value or {"error": "Revision not found"}).encode()
        self.answer(200 if value else 404, data, {"Content-Type": "application/json"})

    def send_file(self, data: bytes | None) -> None:
        if data is None:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self.answer(200, data, headers)

    def answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        more = 7 if self.lies and self.command == "HEAD" else 0
        for name, value in {**headers, "Content-Length": str(len(data) + more)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if type(self).cut and "ETag" in headers:
            type(self).cut -= 1
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(data)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Site]]]:
    monkeypatch.setattr(tasks.fetched, "PAUSE", 0.01)

    class Here(Site):
        files: dict[str, bytes] = {}  # noqa: RUF012
        cut, lies = 0, False
        seen: list[str] = []  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", Here
    server.shutdown()
    server.server_close()


def inside(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.name != "origin.json")


def test_a_file_over_http_is_fetched_once_until_it_changes(site: tuple[str, type[Site]], tmp_path: Path) -> None:
    url, here = site
    here.files["/a.jsonl"] = ROWS
    (first,) = fetch(f"{url}/a.jsonl", tmp_path)
    assert first.name == "a.jsonl"
    assert first.read_bytes() == ROWS
    assert origin(first, tmp_path) == f"{url}/a.jsonl"
    here.seen.clear()
    assert fetch(f"{url}/a.jsonl", tmp_path) == [first]
    assert [line.split()[0] for line in here.seen] == ["HEAD"]
    here.files["/a.jsonl"] = ROWS.upper()
    (second,) = fetch(f"{url}/a.jsonl", tmp_path)
    assert (second.read_bytes(), first.read_bytes()) == (ROWS.upper(), ROWS)


def test_a_connection_that_breaks_is_tried_again_and_nothing_half_is_left(
    site: tuple[str, type[Site]], tmp_path: Path
) -> None:
    url, here = site
    here.files["/a.jsonl"] = ROWS
    here.cut = 2
    (path,) = fetch(f"{url}/a.jsonl", tmp_path)
    assert path.read_bytes() == ROWS
    here.files["/b.jsonl"] = ROWS * 2
    here.cut = 99
    with pytest.raises(StorageFailure, match=rf"{url}/b\.jsonl: lost after 3 attempts .*nothing of it is used"):
        fetch(f"{url}/b.jsonl", tmp_path)
    assert inside(tmp_path) == ["a.jsonl"]


def test_a_file_shorter_than_announced_is_refused(site: tuple[str, type[Site]], tmp_path: Path) -> None:
    url, here = site
    here.files["/a.jsonl"], here.lies = ROWS, True
    with pytest.raises(BadData, match=r"a\.jsonl: 28 bytes came, but 35 were announced"):
        fetch(f"{url}/a.jsonl", tmp_path)
    assert inside(tmp_path) == []
    with pytest.raises(BadData, match=r"none\.jsonl: .*correct the path of the source"):
        fetch(f"{url}/none.jsonl", tmp_path)


def test_a_server_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.fetched, "PAUSE", 0.01)
    with pytest.raises(StorageFailure, match=r"http://127\.0\.0\.1:9/a\.jsonl: lost after 3 attempts"):
        fetch("http://127.0.0.1:9/a.jsonl", tmp_path)
    with pytest.raises(BadConfig, match="nosuch://a"):
        fetch("nosuch://a", tmp_path)


def test_hub_files_by_branch_and_by_commit(
    site: tuple[str, type[Site]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, here = site
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    at = f"/datasets/own/set/resolve/{COMMIT}"
    names = ("README.md", "data/a.jsonl", "data/deep/b.jsonl", "other.bin")
    here.files |= {f"{at}/{name}": name.encode() for name in names}
    found = fetch("hf://datasets/own/set@main/data/**/*.jsonl", tmp_path)
    assert [path.read_bytes() for path in found] == [b"data/a.jsonl", b"data/deep/b.jsonl"]
    assert origin(found[0], tmp_path) == f"hf://datasets/own/set@{COMMIT}/data/a.jsonl"
    assert fetch("hf://datasets/own/set", tmp_path) == found  # its data files, of the main branch
    assert [path.name for path in fetch(f"hf://datasets/own/set@{COMMIT}/README.md", tmp_path)] == ["README.md"]
    here.seen.clear()
    assert fetch(f"hf://datasets/own/set@{COMMIT}/data", tmp_path) == found
    assert here.seen == []  # a commit never changes: no network
    with pytest.raises(BadData, match=r"none of its 4 files matches"):
        fetch("hf://datasets/own/set@main/*.parquet", tmp_path)
    with pytest.raises(BadData, match=r"no such data set or revision"):
        fetch("hf://datasets/own/set@nothing/*.parquet", tmp_path)
    with pytest.raises(BadConfig, match=r"not hf://datasets/OWNER/NAME@REVISION/GLOB"):
        fetch("hf://own/set", tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadConfig, match=r"HF_HUB_OFFLINE is set .* name the full commit"):
        fetch("hf://datasets/own/set@main/data", tmp_path)
    assert fetch(f"hf://datasets/own/set@{COMMIT}/data", tmp_path) == found


def test_a_hub_that_breaks_off_leaves_nothing_half(
    site: tuple[str, type[Site]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, here = site
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    here.files[f"/datasets/own/set/resolve/{COMMIT}/a.jsonl"] = ROWS * 1000
    here.cut = 99
    with pytest.raises(StorageFailure, match=r"hf://datasets/own/set@main/a\.jsonl: the hub was lost"):
        fetch("hf://datasets/own/set@main/a.jsonl", tmp_path)
    assert not [path for path in tmp_path.rglob("a.jsonl") if path.exists()]
    here.cut = 0
    (path,) = fetch("hf://datasets/own/set@main/a.jsonl", tmp_path)
    assert path.read_bytes() == ROWS * 1000


def test_globs_folders_and_files_of_memory(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("fetched/a.jsonl", "fetched/deep/b.jsonl.gz", "fetched/c.bin"):
        memory.pipe_file(f"/{name}", ROWS)
    names = lambda uri: [path.name for path in fetch(uri, tmp_path)]  # noqa: E731
    assert names("memory://fetched/*.jsonl") == ["a.jsonl"]
    assert names("memory://fetched/**/*.jsonl*") == ["a.jsonl", "b.jsonl.gz"]
    assert names("memory://fetched") == ["a.jsonl", "b.jsonl.gz"]
    with pytest.raises(BadData, match=r"memory://fetched/\*\.csv: no such file"):
        names("memory://fetched/*.csv")


def test_files_of_s3(s3: str, tmp_path: Path) -> None:
    fs = fsspec.filesystem("s3", skip_instance_cache=True)
    for name in ("raw/a.jsonl", "raw/deep/b.jsonl"):
        fs.pipe_file(f"{s3}/{name}", ROWS)
    found = fetch(f"{s3}/raw/**/*.jsonl", tmp_path)
    assert [row.values for path in found for row in read_file(path)] == [{"text": "a"}, {"text": "b"}] * 2
    before = [path.stat().st_mtime_ns for path in found]
    assert fetch(f"{s3}/raw/**/*.jsonl", tmp_path) == found
    assert [path.stat().st_mtime_ns for path in found] == before
    assert origin(found[1], tmp_path) == f"{s3}/raw/deep/b.jsonl"


def test_a_stage_depends_on_what_was_fetched_and_records_from_where(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "home"))
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/stage/a.jsonl", ROWS)
    cache = store.scratch / "sources"
    value = "${data_root}/a.jsonl"
    files = find_files("corpus", "sources.0.path", value, "memory://stage", None, cache)
    (entry,) = describe(store, [("sources.0.path", value)], {value: files}, None)
    assert (entry.name, entry.size) == ("memory:///stage/a.jsonl", len(ROWS))
    assert entry.sha256 == hashlib.sha256(ROWS).hexdigest()
    with pytest.raises(BadData, match=r"corpus\.sources\.0\.path: memory://stage/b\.jsonl: "):
        find_files("corpus", "sources.0.path", "memory://stage/b.jsonl", None, None, cache)


def test_local_globs_folders_and_file_uris(tmp_path: Path) -> None:
    (tmp_path / "deep.jsonl" / "er").mkdir(parents=True)
    for name in ("a.jsonl", "deep.jsonl/b.jsonl", "deep.jsonl/er/c.jsonl"):
        (tmp_path / name).write_bytes(ROWS)
    find = lambda value: [  # noqa: E731
        path.name for path in find_files("corpus", "path", value, str(tmp_path), None, tmp_path / "cache")
    ]
    assert find("${data_root}/**/*.jsonl") == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert find(f"file://{tmp_path}/*.jsonl") == ["a.jsonl"]
    with pytest.raises(BadData, match=r"corpus\.path=.* a folder, .* name its files"):
        find("${data_root}/deep.jsonl")
    with pytest.raises(BadData, match="no such file"):
        find("${data_root}/**/*.csv")
