"""What crosses between stages: a reference, never the data."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class ArtifactRef(BaseModel):
    """Kind, key, digest and place of one committed artifact. Frozen, JSON, the only thing Prefect persists.

    ``key`` is the SHA-256 of what the artifact is made from, ``digest`` of what it contains,
    ``uri`` the folder that holds ``manifest.json`` and ``content/``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    key: str
    digest: str
    uri: str


class FileEntry(BaseModel):
    """One content file: POSIX path inside ``content/``, size in bytes, SHA-256 in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int
    sha256: str


class SourceEntry(BaseModel):
    """One raw input file of a stage: the config path that named it, and its content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    named: str
    name: str
    size: int
    sha256: str


class Manifest(BaseModel):
    """``manifest.json``: where an artifact comes from and what it holds. Written last, so it marks a whole artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    stage: str
    version: int
    kind: str
    key: str
    digest: str
    fence: int
    parents: dict[str, ArtifactRef]
    sources: list[SourceEntry]
    config: dict[str, Any]
    files: list[FileEntry]
    metrics: dict[str, Any]
    seed: int | None
    code: str
    packages: dict[str, str]
    device: str
    started: str
    seconds: float


class Draft(BaseModel):
    """A manifest before the content is hashed: all that the maker of an artifact knows of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    version: int
    kind: str
    key: str
    parents: dict[str, ArtifactRef] = {}
    sources: list[SourceEntry] = []
    config: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    seed: int | None = None
    device: str = ""
    started: str = ""
    seconds: float = 0.0
