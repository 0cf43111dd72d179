"""What a store needs of the place it lies in. Paths are POSIX, relative to the store's root."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

MANIFEST = "manifest.json"
CONTENT = "content"


class Backend(Protocol):
    """A local disk or an object store."""

    def uri(self, path: str) -> str:
        """Full name of a path, as it is written in references."""
        ...

    def read(self, path: str) -> bytes:
        """Whole content of a small file. Raises FileNotFoundError."""
        ...

    def create(self, path: str, data: bytes) -> None:
        """Write a small file that must not exist, visible only as a whole. Raises FileExistsError."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Write a small file, whether it exists or not; readers see the old or the new bytes."""
        ...

    def names(self, folder: str) -> list[str]:
        """Sorted names directly in a folder; empty when there is none."""
        ...

    def files(self, folder: str) -> dict[str, int]:
        """Every file below a folder: path relative to it → size in bytes. Links are listed with size -1."""
        ...

    def sha256(self, path: str) -> str:
        """SHA-256 of a file, in hex."""
        ...

    def age(self, path: str) -> float:
        """Seconds since a file was written, both times by the store's own clock. Raises FileNotFoundError."""
        ...

    def publish(self, staged: Path, folder: str, manifest: bytes, check: Callable[[], None]) -> None:
        """Make ``staged/content`` and the manifest one generation; ``check`` has the last word and may raise."""
        ...

    def delete(self, path: str) -> None:
        """Delete one file. Nothing happens when there is none."""
        ...

    def discard(self, folder: str) -> None:
        """Take a folder out of sight at once, then delete it. Nothing happens when there is none."""
        ...

    def set_aside(self, folder: str, target: str, note: bytes) -> None:
        """Move a folder and leave a note in it. Raises FileNotFoundError."""
        ...
