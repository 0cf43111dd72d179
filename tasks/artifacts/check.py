"""Compare the files of a generation with its manifest."""

from tasks.artifacts.backend import CONTENT, Backend
from tasks.artifacts.digest import content_digest, is_safe
from tasks.artifacts.failures import BrokenArtifact
from tasks.artifacts.ref import Manifest


def check_manifest(where: str, manifest: Manifest) -> None:
    """The manifest agrees with itself and names only paths inside ``content/``. Raises BrokenArtifact."""
    unsafe = [entry.path for entry in manifest.files if not is_safe(entry.path)]
    if unsafe:
        raise BrokenArtifact(f"{where}: manifest names {unsafe[0]!r}, expected a path inside {CONTENT}/")
    found = content_digest(manifest.files)
    if found != manifest.digest:
        raise BrokenArtifact(f"{where}: manifest says digest {manifest.digest}, its files give {found}")


def check_generation(files: Backend, folder: str, manifest: Manifest) -> None:
    """Hash every file. Raises BrokenArtifact naming the first that is missing, extra or changed."""
    where = files.uri(f"{folder}/{CONTENT}")
    check_manifest(files.uri(folder), manifest)
    sizes = files.files(f"{folder}/{CONTENT}")
    for entry in manifest.files:
        if entry.path not in sizes:
            raise BrokenArtifact(f"{where}/{entry.path}: expected {entry.size} bytes, found no such file")
        if sizes[entry.path] != entry.size:
            raise BrokenArtifact(
                f"{where}/{entry.path}: expected {entry.size} bytes, found {_bytes(sizes[entry.path])}"
            )
    extra = sorted(sizes.keys() - {entry.path for entry in manifest.files})
    if extra:
        raise BrokenArtifact(f"{where}/{extra[0]}: expected no such file, found {_bytes(sizes[extra[0]])}")
    for entry in manifest.files:
        try:
            found = files.sha256(f"{folder}/{CONTENT}/{entry.path}")
        except FileNotFoundError:
            raise BrokenArtifact(f"{where}/{entry.path}: expected {entry.size} bytes, the file vanished") from None
        if found != entry.sha256:
            raise BrokenArtifact(f"{where}/{entry.path}: expected sha256 {entry.sha256}, found {found}")


def _bytes(size: int) -> str:
    return f"{size} bytes" if size >= 0 else "a link or device"
