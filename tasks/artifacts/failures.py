"""What can go wrong between a stage and the store."""

from tasks.failures import StageFailure, StorageFailure


class BrokenArtifact(StageFailure):
    """An artifact is not what its manifest or reference says: a file is missing, extra or changed."""


class LeaseHeld(StorageFailure):
    """A live process holds the lease of this key; trying again later may work."""


class LeaseLost(StorageFailure):
    """Another process took the lease over: this one is late, and what it made is refused."""
