"""Classes of failure. Only the transient ones are retried."""

from typing import ClassVar


class StageFailure(Exception):
    """A stage could not finish. The message says what happened, both values, and the setting to change."""

    transient: ClassVar[bool] = False


class BadConfig(StageFailure):
    """The settings are unknown, contradictory, or impossible here."""


class BadData(StageFailure):
    """An input file is missing, unreadable, empty, or not what its name says."""


class OutOfMemory(StageFailure):
    """The machine or the accelerator ran out of memory: the same attempt would fail again."""


class Diverged(StageFailure):
    """A loss, gradient or reward is not finite, or a limit on the KL was passed."""


class Refused(StageFailure):
    """What a stage made is sound, and not good enough to go on with."""


class LostWorker(StageFailure):
    """A child process died without saying why: killed, node lost, pre-empted."""

    transient = True


class StorageFailure(StageFailure):
    """The artifact store could not be read or written for a reason that may pass."""

    transient = True


class ServiceFailure(StageFailure):
    """A service that a setting names did not answer in time, for a reason that may pass."""

    transient = True


FAILURES: dict[str, type[StageFailure]] = {
    cls.__name__: cls
    for cls in (BadConfig, BadData, OutOfMemory, Diverged, Refused, LostWorker, StorageFailure, ServiceFailure)
}
