"""Small files out of artifacts, one at a time: a picture must not hash or download a whole model."""

import hashlib

from tasks.artifacts import BrokenArtifact, Store
from tasks.artifacts.backend import CONTENT
from tasks.artifacts.ref import Manifest
from tasks.artifacts.store import generation


def read_text(store: Store, manifest: Manifest, path: str) -> str | None:
    """A content file as text, checked against the manifest; None when the artifact has no such file.

    Raises BrokenArtifact when its bytes are not what the manifest says.
    """
    entry = next((entry for entry in manifest.files if entry.path == path), None)
    if entry is None:
        return None
    name = f"{generation(manifest.stage, manifest.key, manifest.fence)}/{CONTENT}/{path}"
    data = store.files.read(name)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise BrokenArtifact(f"{store.files.uri(name)}: expected SHA-256 {entry.sha256}, found other bytes")
    return data.decode("utf-8")
