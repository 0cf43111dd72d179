"""A store on an object store, through fsspec (S3, GCS, memory, …): content first, the manifest last.

There is no rename. A generation exists from the moment its manifest does, and the manifest is put under the condition
that there is none yet. Exclusive creation must be atomic for leases: S3 and GCS have it (if-none-match). File
systems where fsspec only looks before it writes (SFTP, WebDAV) leave a gap of one round trip; the fence number in
every generation's path still keeps two writers from mixing their files.
"""

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.artifacts.backend import CONTENT, MANIFEST

CHUNK = 8 << 20


class RemoteFiles:
    """Implements ``Backend`` below a URL."""

    def __init__(self, url: str) -> None:
        import fsspec

        # Listings must be true now: another machine may have written a second ago
        self.fs: Any
        self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.root = root.rstrip("/")

    def uri(self, path: str) -> str:
        return str(self.fs.unstrip_protocol(self._full(path)))

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}"

    def read(self, path: str) -> bytes:
        return bytes(self.fs.cat_file(self._full(path)))

    def create(self, path: str, data: bytes) -> None:
        try:
            self.fs.pipe_file(self._full(path), data, mode="create")
        except OSError:
            # Also when the answer to a first, successful attempt was lost, or two attempts met (409)
            try:
                found = self.read(path)
            except FileNotFoundError:
                found = None
            if found is None:
                raise
            if found != data:
                raise FileExistsError(self.uri(path)) from None

    def replace(self, path: str, data: bytes) -> None:
        self.fs.pipe_file(self._full(path), data)

    def names(self, folder: str) -> list[str]:
        full = self._full(folder)
        self.fs.invalidate_cache(full)
        try:
            found = self.fs.ls(full, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        below = (str(name).rstrip("/") for name in found)
        return sorted({name.rpartition("/")[2] for name in below if name != full})

    def files(self, folder: str) -> dict[str, int]:
        full = self._full(folder)
        self.fs.invalidate_cache(full)
        found = self.fs.find(full, detail=True)
        return {name[len(full) + 1 :]: int(info["size"]) for name, info in found.items() if name.startswith(f"{full}/")}

    def sha256(self, path: str) -> str:
        digest = hashlib.sha256()
        with self.fs.open(self._full(path), "rb", block_size=CHUNK, cache_type="readahead") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def age(self, path: str) -> float:
        probe = self._full(f"tmp/clock.{secrets.token_hex(8)}")
        written = self.fs.modified(self._full(path))
        self.fs.pipe_file(probe, b"\n")
        try:
            return float((self.fs.modified(probe) - written).total_seconds())
        finally:
            self.fs.rm_file(probe)

    def publish(self, staged: Path, folder: str, manifest: bytes, check: Callable[[], None]) -> None:
        content = staged / CONTENT
        for path in sorted(content.rglob("*")):
            if path.is_file():
                self.fs.put_file(str(path), self._full(f"{folder}/{CONTENT}/{path.relative_to(content).as_posix()}"))
        check()
        self.create(f"{folder}/{MANIFEST}", manifest)

    def discard(self, folder: str) -> None:
        # The manifest first: from then on it is no artifact. One by one, because rm() would expand "*" in a name
        names = sorted(self.files(folder), key=lambda name: name != MANIFEST)
        for name in names:
            self.delete(f"{folder}/{name}")
        if self.fs.exists(self._full(folder)):  # not an object store: it has folders, and they are empty now
            parents = {parent for name in names for parent in PurePosixPath(folder, name).parents}
            inside = [parent for parent in parents if parent.is_relative_to(folder)]
            for parent in sorted(inside, key=lambda path: -len(path.parts)):
                self.fs.rmdir(self._full(str(parent)))

    def set_aside(self, folder: str, target: str, note: bytes) -> None:
        names = sorted(self.files(folder), key=lambda name: name != MANIFEST)
        if not names:
            raise FileNotFoundError(self.uri(folder))
        for name in names:
            self.fs.cp_file(self._full(f"{folder}/{name}"), self._full(f"{target}/{name}"))
        self.replace(f"{target}/why.json", note)
        self.discard(folder)

    def delete(self, path: str) -> None:
        try:
            self.fs.rm_file(self._full(path))
        except FileNotFoundError:
            return

    def fetch(self, path: str, target: Path) -> None:
        """Download one file. Raises FileNotFoundError."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.fs.get_file(self._full(path), str(target))
