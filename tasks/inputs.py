"""What a stage function receives beside its config: verified folders and resolved raw files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.artifacts.ref import ArtifactRef


@dataclass(frozen=True)
class Inputs:
    """Opened inputs of one stage.

    folders: content folder of each input artifact, verified, by the input's name ("base", "corpus", …).
    refs: the same artifacts' references, for provenance (an adapter names its base by digest).
    sources: raw files by the path setting that named them, exactly as written in the config.
    metrics: what the stage that made each input measured, by the input's name.
    """

    folders: Mapping[str, Path] = field(default_factory=dict)
    refs: Mapping[str, ArtifactRef] = field(default_factory=dict)
    sources: Mapping[str, list[Path]] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
