"""Digests: of a file, of a folder's content, and the canonical JSON that keys are hashed from."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.artifacts.ref import FileEntry
from tasks.failures import BadConfig, StageFailure


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """One spelling for equal values: sorted keys, no spaces, UTF-8. Raises BadConfig for NaN and infinity."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:  # ValueError: NaN, infinity, lone surrogates
        raise BadConfig(f"a keyed setting has no canonical JSON ({error}); give a finite number or a string") from error


def content_digest(files: Iterable[FileEntry]) -> str:
    """SHA-256 over the sorted (path, size, SHA-256) of the content files, in hex."""
    rows = sorted([entry.path, entry.size, entry.sha256] for entry in files)
    return hashlib.sha256(canonical_json(rows)).hexdigest()


def is_safe(path: str) -> bool:
    """Whether a content path stays inside its folder. A manifest from elsewhere is data and may say anything."""
    return "\0" not in path and all(part not in ("", ".", "..") for part in path.split("/"))


def list_tree(folder: Path) -> list[str]:
    """Sorted POSIX paths of all files below a folder. Raises StageFailure for links, devices and names not UTF-8."""
    found = []
    for where, folders, names in os.walk(folder):
        for name in sorted(names + [name for name in folders if (Path(where) / name).is_symlink()]):
            path = Path(where) / name
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink() or not path.is_file():
                raise StageFailure(
                    f"{path} is a link or a device; an artifact holds plain files only: copy its content"
                )
            try:
                relative.encode("utf-8")
            except UnicodeEncodeError as error:
                raise StageFailure(f"{path!r} has a name that is not UTF-8; rename it") from error
            found.append(relative)
    return sorted(found)


def hash_tree(folder: Path) -> list[FileEntry]:
    """Every file below a folder, hashed, sorted by path."""
    return [
        FileEntry(path=name, size=(folder / name).stat().st_size, sha256=sha256_file(folder / name))
        for name in list_tree(folder)
    ]


def digest_of(folder: Path) -> str:
    """Content digest of a folder: as the manifest beside a verified ``content`` folder says, else of its files."""
    manifest = folder.parent / "manifest.json"
    if folder.name == "content" and manifest.is_file():
        return str(json.loads(manifest.read_bytes())["digest"])
    return content_digest(hash_tree(folder))
