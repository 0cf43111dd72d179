"""Local copies of remote artifacts, by content digest: downloaded once, whole or not at all, checked at every use."""

import secrets
from pathlib import Path

from tasks.artifacts.backend import CONTENT
from tasks.artifacts.check import check_generation, check_manifest
from tasks.artifacts.failures import BrokenArtifact
from tasks.artifacts.local import LocalFiles, remove
from tasks.artifacts.ref import Manifest
from tasks.artifacts.remote import RemoteFiles
from tasks.artifacts.state import State, settled


class Downloads:
    """``content/DIGEST/content/…`` below a local folder."""

    def __init__(self, remote: RemoteFiles, scratch: Path) -> None:
        self.remote, self.scratch = remote, scratch
        self._local = LocalFiles(scratch)
        self._checked: dict[str, State] = {}

    def open(self, folder: str, manifest: Manifest) -> Path:
        """Verified local content folder of a remote generation. Raises BrokenArtifact, OSError."""
        copy = self._copy(manifest)
        if not copy.exists():
            self._download(folder, manifest)
        try:
            self._check(manifest)
        except BrokenArtifact:
            self._local.discard(f"content/{manifest.digest}")  # only our copy; the remote one may be whole
            self._download(folder, manifest)
        return copy

    def adopt(self, staged: Path, manifest: Manifest) -> None:
        """Keep what was just uploaded as the local copy. A copy that is already there stays."""
        copy = self._copy(manifest)
        copy.parent.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.rename(copy.parent)
        except OSError:
            remove(staged)

    def _copy(self, manifest: Manifest) -> Path:
        return self.scratch / "content" / manifest.digest / CONTENT

    def _check(self, manifest: Manifest) -> None:
        state = settled(self._copy(manifest))
        if state is None or self._checked.get(manifest.digest) != state:
            check_generation(self._local, f"content/{manifest.digest}", manifest)
            if state is not None:
                self._checked[manifest.digest] = state

    def _download(self, folder: str, manifest: Manifest) -> None:
        check_manifest(self.remote.uri(folder), manifest)  # before a path of it is joined to a local one
        new = self.scratch / "tmp" / f"file.{secrets.token_hex(8)}"
        try:
            for entry in manifest.files:
                try:
                    self.remote.fetch(f"{folder}/{CONTENT}/{entry.path}", new / CONTENT / entry.path)
                except FileNotFoundError:
                    where = self.remote.uri(f"{folder}/{CONTENT}/{entry.path}")
                    raise BrokenArtifact(f"{where}: expected {entry.size} bytes, found no such file") from None
            check_generation(LocalFiles(self.scratch / "tmp"), new.name, manifest)
            self.adopt(new, manifest)
        finally:
            remove(new)
