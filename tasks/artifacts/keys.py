"""The key of an artifact: what it is made from."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.artifacts.digest import canonical_json
from tasks.artifacts.ref import SourceEntry


def artifact_key(
    stage: str, version: int, config: Mapping[str, Any], inputs: Mapping[str, str], sources: Sequence[SourceEntry]
) -> str:
    """SHA-256 of everything that decides an artifact's bytes, in hex.

    config: the keyed fields only, as plain JSON values.  inputs: digest of each input artifact by its name.
    sources: raw files; their content counts, in order, under the setting that named them. Their paths do not,
    so that data can be moved. A source without content, a hub id, counts by its name.
    """
    raw: dict[str, list[str]] = {}
    for entry in sources:
        raw.setdefault(entry.named, []).append(entry.sha256 or f"name:{entry.name}")
    made_from = {
        "format": 1, "stage": stage, "version": version,
        "config": dict(config), "inputs": dict(inputs), "sources": raw,
    }  # fmt: skip
    return hashlib.sha256(canonical_json(made_from)).hexdigest()
