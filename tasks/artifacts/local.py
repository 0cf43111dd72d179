"""A store on a local or shared disk: whole folders appear and vanish by rename."""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tasks.artifacts.backend import CONTENT, MANIFEST
from tasks.artifacts.digest import sha256_file
from tasks.failures import StorageFailure

# What file systems without hard links answer
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class LocalFiles:
    """Implements ``Backend`` below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uri(self, path: str) -> str:
        return str(self.root / path)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def create(self, path: str, data: bytes) -> None:
        target, new = self.root / path, self._write(data)
        make_folders(target.parent)
        try:
            os.link(new, target)  # unlike rename, it refuses to replace; unlike open("x"), it is never half written
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with target.open("xb") as file:
                file.write(data)
        finally:
            new.unlink()
        sync_folder(target.parent)

    def replace(self, path: str, data: bytes) -> None:
        self._write(data).replace(self.root / path)

    def _write(self, data: bytes) -> Path:
        new = self.root / "tmp" / f"file.{secrets.token_hex(8)}"
        make_folders(new.parent)
        with new.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return new

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(path.name for path in (self.root / folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def files(self, folder: str) -> dict[str, int]:
        found: dict[str, int] = {}
        base = self.root / folder
        for where, folders, names in os.walk(base):
            for name in names + [name for name in folders if (Path(where) / name).is_symlink()]:
                path = Path(where) / name
                size = path.stat().st_size if path.is_file() and not path.is_symlink() else -1
                found[path.relative_to(base).as_posix()] = size
        return found

    def sha256(self, path: str) -> str:
        return sha256_file(self.root / path)

    def age(self, path: str) -> float:
        # Opened, because on NFS only an open asks the server for fresh times
        with (self.root / path).open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime
        probe = self._write(b"")
        now = probe.stat().st_mtime
        probe.unlink()
        return now - written

    def publish(self, staged: Path, folder: str, manifest: bytes, check: Callable[[], None]) -> None:
        target = self.root / folder
        sync_tree(staged / CONTENT)
        with (staged / MANIFEST).open("wb") as file:
            file.write(manifest)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(staged)
        make_folders(target.parent)
        check()
        staged.rename(target)
        sync_folder(target.parent)

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)

    def discard(self, folder: str) -> None:
        trash = self.root / "trash" / secrets.token_hex(8)
        trash.parent.mkdir(parents=True, exist_ok=True)
        try:
            (self.root / folder).rename(trash)
        except FileNotFoundError:
            return
        remove(trash)

    def set_aside(self, folder: str, target: str, note: bytes) -> None:
        make_folders((self.root / target).parent)
        self.replace(f"{folder}/why.json", note)
        (self.root / folder).rename(self.root / target)


def remove(path: Path) -> None:
    """Delete a file or a folder; others may be deleting the same one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """fsync a folder: the names in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """fsync every file and folder, the innermost first."""
    for where, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(where) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(where))


def make_folders(folder: Path) -> None:
    """Create a folder and the missing ones above it, each made durable in its parent."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def staging(root: Path, name: str) -> Path:
    """An empty ``tmp/NAME`` below a root, with an empty ``content`` in it. Raises StorageFailure when it cannot be."""
    folder = root / "tmp" / name
    try:
        remove(folder)
        (folder / CONTENT).mkdir(parents=True)
    except OSError as error:
        raise StorageFailure(f"{folder} cannot be made: {error}; free space or set another `store`") from error
    return folder


def older_than(path: Path, seconds: float) -> bool:
    """Whether a path was last changed longer ago; False when it is gone."""
    try:
        return time.time() - path.lstat().st_mtime > seconds
    except FileNotFoundError:
        return False
