"""Artifacts: content-addressed, verified, written by one writer at a time. Light: importing it loads no torch."""

from tasks.artifacts.failures import BrokenArtifact, LeaseHeld, LeaseLost
from tasks.artifacts.gc import Collected, collect, verify_store
from tasks.artifacts.keys import artifact_key
from tasks.artifacts.lease import Lease
from tasks.artifacts.provenance import environment
from tasks.artifacts.ref import ArtifactRef, Draft, FileEntry, Manifest, SourceEntry
from tasks.artifacts.store import Store

__all__ = [
    "ArtifactRef",
    "BrokenArtifact",
    "Collected",
    "Draft",
    "FileEntry",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "Manifest",
    "SourceEntry",
    "Store",
    "artifact_key",
    "collect",
    "environment",
    "verify_store",
]
