"""The artifact store: the one source of truth on what was made, what may be reused and who may write.

ROOT/artifacts/STAGE/KEY/FENCE/manifest.json, content/…   a generation; the newest with a manifest is the artifact
ROOT/leases/KEY/FENCE.json                                claims, see lease.py
ROOT/broken/…                                             generations set aside
below SCRATCH: work, tmp, content                         local: the root itself, or a remote store's cache
"""

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tasks.artifacts.backend import CONTENT, MANIFEST, Backend
from tasks.artifacts.check import check_generation
from tasks.artifacts.digest import content_digest, hash_tree
from tasks.artifacts.download import Downloads
from tasks.artifacts.failures import BrokenArtifact
from tasks.artifacts.lease import Lease
from tasks.artifacts.local import LocalFiles, remove, staging
from tasks.artifacts.provenance import environment
from tasks.artifacts.ref import ArtifactRef, Draft, Manifest, SourceEntry
from tasks.artifacts.remote import RemoteFiles
from tasks.artifacts.sources import SourceDigests
from tasks.artifacts.state import State, settled
from tasks.failures import BadConfig, StageFailure, StorageFailure


class Store:
    """Artifacts below a local folder or an fsspec URL (``s3://bucket/prefix``, ``gs://…``, ``memory://…``).

    cache: local folder for working folders and downloads; required for a URL, unused for a folder.
    """

    def __init__(self, root: str, cache: Path | None = None) -> None:
        if "://" not in root or root.startswith("file://"):
            folder = Path(root.removeprefix("file://")).expanduser().absolute()
            self.files: Backend = LocalFiles(folder)
            self.scratch, self._downloads = folder, None
        elif cache is None:
            raise BadConfig(f"store {root!r} is remote and needs a local folder for work and downloads: give `cache`")
        else:
            remote = RemoteFiles(root)
            # Two stores may share one cache folder
            self.scratch = cache.absolute() / hashlib.sha256(root.rstrip("/").encode()).hexdigest()[:12]
            self.files, self._downloads = remote, Downloads(remote, self.scratch)
        self.root = root
        self._sources = SourceDigests(self.scratch / "source-digests.json")
        self._opened: dict[str, State] = {}

    # ---- what is there

    def find(self, stage: str, key: str) -> ArtifactRef | None:
        """The newest generation of a key whose manifest is whole; nothing is hashed. None when there is none."""
        for fence in reversed(self.fences(stage, key)):
            if manifest := self.read_manifest(generation(stage, key, fence)):
                return self._ref(manifest)
        return None

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """Where an artifact comes from and what it holds. Raises BrokenArtifact when it is not in the store."""
        return self._locate(ref)[1]

    def refs(self) -> Iterator[tuple[ArtifactRef, Manifest]]:
        """The newest generation of every key."""
        for stage, key in self.each_key():
            if ref := self.find(stage, key):
                yield ref, self.manifest(ref)

    def all_generations(self) -> Iterator[tuple[ArtifactRef, Manifest]]:
        """Every generation with a whole manifest, the oldest of a key first."""
        for stage, key in self.each_key():
            for fence in self.fences(stage, key):
                if manifest := self.read_manifest(generation(stage, key, fence)):
                    yield self._ref(manifest), manifest

    def each_key(self) -> Iterator[tuple[str, str]]:
        """Every (stage, key) that has a folder in the store."""
        for stage in self.files.names("artifacts"):
            for key in self.files.names(f"artifacts/{stage}"):
                yield stage, key

    def fences(self, stage: str, key: str) -> list[int]:
        """Fence numbers of a key's generations, rising, whole or not."""
        return sorted(int(name) for name in self.files.names(f"artifacts/{stage}/{key}") if name.isdigit())

    def read_manifest(self, folder: str) -> Manifest | None:
        """The manifest of a generation; None when it is absent, unreadable, or belongs to another place."""
        try:
            manifest = Manifest.model_validate_json(self.files.read(f"{folder}/{MANIFEST}"))
        except (FileNotFoundError, ValidationError):
            return None
        return manifest if generation(manifest.stage, manifest.key, manifest.fence) == folder else None

    def _ref(self, manifest: Manifest) -> ArtifactRef:
        uri = self.files.uri(generation(manifest.stage, manifest.key, manifest.fence))
        return ArtifactRef(kind=manifest.kind, key=manifest.key, digest=manifest.digest, uri=uri)

    def _locate(self, ref: ArtifactRef) -> tuple[str, Manifest]:
        """Folder and manifest of a reference. Another generation of the same content serves as well, and a store
        may have been moved: the reference's place below the root counts, not the root it was written under.
        """
        stage, key, fence = ([""] * 3 + ref.uri.rstrip("/").split("/"))[-3:]
        if key != ref.key or not fence.isdigit():
            raise BrokenArtifact(f"{ref.uri}: not a place of key {ref.key}: the reference was altered")
        folder = f"artifacts/{stage}/{key}/{fence}"
        manifest = self.read_manifest(folder)
        if manifest and manifest.digest == ref.digest:
            return folder, manifest
        if manifest:
            raise BrokenArtifact(
                f"{self.files.uri(folder)}/{MANIFEST}: digest expected {ref.digest}, found {manifest.digest}"
            )
        for other in reversed(self.fences(stage, key)):
            manifest = self.read_manifest(generation(stage, key, other))
            if manifest and manifest.digest == ref.digest:
                return generation(stage, key, other), manifest
        raise BrokenArtifact(
            f"{self.files.uri(folder)}/{MANIFEST}: expected a whole manifest, found none; run it again"
        )

    # ---- is it whole

    def verify(self, ref: ArtifactRef) -> None:
        """Hash every file again. Raises BrokenArtifact naming the first file that is missing, extra or changed."""
        folder, manifest = self._locate(ref)
        try:
            check_generation(self.files, folder, manifest)
        except OSError as error:
            raise StorageFailure(f"{self.files.uri(folder)} cannot be read: {error}") from error

    def open(self, ref: ArtifactRef) -> Path:
        """Local folder with the verified content; a remote artifact is downloaded first. Read it, never write.

        A second ``open`` through the same Store hashes again only what the file system says was touched.
        Raises BrokenArtifact, StorageFailure.
        """
        folder, manifest = self._locate(ref)
        try:
            if self._downloads:
                return self._downloads.open(folder, manifest)
            content = self.scratch / folder / CONTENT
            state = settled(content)
            if state is None or self._opened.get(folder) != state:
                check_generation(self.files, folder, manifest)
                if state is not None:
                    self._opened[folder] = state
            return content
        except OSError as error:
            raise StorageFailure(f"{ref.uri} cannot be read: {error}; check that `store` can be reached") from error

    def set_aside(self, ref: ArtifactRef, why: str) -> None:
        """Move a broken generation to ``broken/``, with the reason, so that it is made again. Nothing is deleted."""
        stage, key, fence = ref.uri.rstrip("/").split("/")[-3:]
        target = f"broken/{stage}.{key}.{fence}.{secrets.token_hex(4)}"
        note = json.dumps({"why": why, "ref": ref.model_dump()}, indent=1).encode()
        try:
            self.files.set_aside(f"artifacts/{stage}/{key}/{fence}", target, note)
        except FileNotFoundError:
            return  # somebody else was faster
        except OSError as error:
            raise StorageFailure(f"{ref.uri} cannot be moved to {self.files.uri(target)}: {error}") from error

    # ---- making one

    def work(self, stage: str, key: str) -> Path:
        """Local working folder of a key. It outlives retries and reruns: checkpoints go there."""
        folder = self.scratch / "work" / stage / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear_work(self, stage: str, key: str) -> None:
        """Remove the working folder of a key, as its artifact is committed."""
        LocalFiles(self.scratch).discard(f"work/{stage}/{key}")

    def lease(self, stage: str, key: str, ttl: float = 30.0) -> Lease:
        """The right to write a key, not yet acquired: ``with store.lease(stage, key) as lease``."""
        return Lease(self.files, stage, key, ttl, lambda: max(self.fences(stage, key), default=0))

    def stage_out(self, lease: Lease) -> Path:
        """An empty local folder to write content into; what earlier holders of the lease left there is removed."""
        lease.confirm()
        for leftover in (self.scratch / "tmp").glob(f"{lease.key}.*"):
            remove(leftover)
        return staging(self.scratch, f"{lease.key}.{lease.fence:08d}") / CONTENT

    def unstage(self, lease: Lease) -> None:
        """Remove what was written under this lease and never committed; checkpoints are in the working folder."""
        remove(self.scratch / "tmp" / f"{lease.key}.{lease.fence:08d}")

    def commit(self, content: Path, draft: Draft, lease: Lease) -> ArtifactRef:
        """Make a folder's files the newest generation of the lease's key, all of it or nothing, durable on return.

        ``content`` is ``stage_out``'s folder (then it is moved) or any other (then it is copied).
        Raises LeaseLost for a late writer, StageFailure for no or unfit files, StorageFailure.
        """
        if (draft.stage, draft.key) != (lease.stage, lease.key):
            raise StageFailure(f"draft of {draft.stage} {draft.key} under the lease of {lease.stage} {lease.key}")
        try:
            return self._commit(content, draft, lease)
        except OSError as error:
            lease.confirm()  # whoever took over cleared our files away: say that, not "no such file"
            raise StorageFailure(
                f"{draft.stage} cannot be committed to {self.root}: {error}; free space or set `store`"
            ) from error

    def _commit(self, content: Path, draft: Draft, lease: Lease) -> ArtifactRef:
        lease.confirm()
        staged = self.scratch / "tmp" / f"{lease.key}.{lease.fence:08d}"
        if content != staged / CONTENT:
            staging(self.scratch, staged.name)
            shutil.copytree(content, staged / CONTENT, symlinks=True, dirs_exist_ok=True)
        files = hash_tree(staged / CONTENT)
        if not files:
            raise StageFailure(f"{draft.stage} wrote no file into {content}; an artifact must have content")
        manifest = Manifest(
            digest=content_digest(files), fence=lease.fence, files=files, **environment(),
            **{name: getattr(draft, name) for name in Draft.model_fields},
        )  # fmt: skip
        folder = generation(draft.stage, draft.key, lease.fence)
        text = manifest.model_dump_json(indent=1).encode("utf-8")
        self.files.publish(staged, folder, text, lease.confirm)
        if self._downloads:
            self._downloads.adopt(staged, manifest)
        return self._ref(manifest)

    def digest_source(self, path: Path) -> SourceEntry:
        """Size and SHA-256 of a raw input file (``named`` is empty); remembered between runs. Raises BadData."""
        return self._sources.digest(path)


def generation(stage: str, key: str, fence: int) -> str:
    """Path of a generation below the root."""
    return f"artifacts/{stage}/{key}/{fence:08d}"
