"""The child process of a stage: read the job, call the stage function, write result or failure.

``python -m tasks.child JOB`` or ``accelerate launch … -m tasks.child JOB``; with several processes every rank
calls the function, and the first one alone writes.
"""

import importlib
import math
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tasks.allocator import keep_freed_memory
from tasks.artifacts.ref import ArtifactRef
from tasks.devices import share_locks
from tasks.failures import StageFailure
from tasks.inputs import Inputs
from tasks.live import Live


class Job(BaseModel):
    """What a child needs to know. Paths are local to this machine."""

    module: str
    stage: str
    config: dict[str, Any]
    folders: dict[str, str]
    refs: dict[str, ArtifactRef]
    sources: dict[str, list[str]]
    metrics: dict[str, dict[str, Any]]
    out: str
    work: str
    result: str
    processes: int


class Outcome(BaseModel):
    """What a child leaves behind: metrics, or the class and message of a failure."""

    metrics: dict[str, Any] | None = None
    device: str = "cpu"
    failure: str | None = None
    message: str = ""


def main(path: str) -> int:
    job = Job.model_validate_json(Path(path).read_text(encoding="utf-8"))
    rank = int(os.environ.get("RANK", "0"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        share_locks()
        # accelerate has been seen to start one process where two were asked for, without a word
        if world != job.processes:
            raise StageFailure(f"{job.stage}: {job.processes} processes were asked for and {world} started")
        outcome = Outcome(metrics=_plain(_call(job, main=rank == 0)), device=_device())
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome(failure=failure_class(error), message=_message(error))
    if rank == 0 or outcome.failure:
        new = Path(f"{job.result}.{rank}.new")
        new.write_text(outcome.model_dump_json(), encoding="utf-8")
        new.replace(job.result)
    return 1 if outcome.failure else 0


def _call(job: Job, main: bool) -> dict[str, Any]:
    stage = getattr(importlib.import_module(job.module), job.stage)
    inputs = Inputs(
        folders={name: Path(folder) for name, folder in job.folders.items()},
        refs=job.refs,
        sources={named: [Path(file) for file in files] for named, files in job.sources.items()},
        metrics=job.metrics,
    )
    config = stage.config.model_validate(job.config)
    if stage.accelerate:
        keep_freed_memory()
    return stage.function(config, inputs, Path(job.out), Live(work=Path(job.work), main=main))


def failure_class(error: BaseException) -> str:
    """Name of the failure class of any exception."""
    if isinstance(error, StageFailure):
        return type(error).__name__
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "OutOfMemory"
    if isinstance(error, OSError):
        return "StorageFailure"
    return "StageFailure"


def _message(error: BaseException) -> str:
    if isinstance(error, StageFailure):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _plain(value: Any) -> Any:
    """JSON has no NaN: a metric that is not finite becomes null, loudly absent instead of unreadable."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "cpu"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
