"""Runs the jobs of a plan as Ray core tasks, on this machine or a cluster that shares the working folder."""

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

from tasks.child import failure_class
from tasks.corpus.engine import Progress
from tasks.corpus.jobs import TASKS
from tasks.failures import FAILURES, BadConfig, LostWorker, StageFailure

RETRIES = 2  # of a job whose machine was lost


class Ray:
    """Jobs on a Ray cluster; without an address, on one of this machine's own."""

    def __init__(self, address: str | None) -> None:
        """Raises BadConfig when Ray is not installed or does not answer."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # its 30 s are short on a loaded machine
        try:
            import ray
        except ImportError as error:
            raise BadConfig("corpus.engine=ray needs Ray: pip install 'plumbline[ray]'") from error
        self.ray = ray
        self.mine = not ray.is_initialized()
        if self.mine:
            try:
                ray.init(address=address, include_dashboard=False, configure_logging=False, log_to_driver=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise BadConfig(f"corpus.ray_address={address!r}: no Ray cluster answers ({error})") from error

    def run(self, task: str, folder: Path, numbers: Iterable[int], progress: Progress) -> None:
        """Hand all jobs to Ray; a machine that sees another folder is refused."""
        ray = self.ray
        mark = folder / f"seen-{uuid4().hex}"
        mark.touch()
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_run)
        waiting = {remote.remote(task, str(folder), number, str(mark)): number for number in numbers}
        done = 0
        try:
            while waiting:
                ready, _ = ray.wait(list(waiting), num_returns=1)
                for reference in ready:
                    waiting.pop(reference)
                    done += _result(ray, reference)
                    progress(done)
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)
            mark.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the cluster, and end one that was started here."""
        if self.mine:
            self.ray.shutdown()


def _run(task: str, folder: str, number: int, mark: str) -> dict[str, Any]:
    """In a Ray worker. A failure is an answer: Ray would need to unpickle our exceptions."""
    if not Path(mark).is_file():
        return {
            "failure": "BadConfig",
            "message": f"{socket.gethostname()} does not see the working folder {folder}: PLUMBLINE_HOME must be on a "
            "file system that all machines of the Ray cluster share",
        }
    size = 0

    def report(done: int) -> None:
        nonlocal size
        size = done

    try:
        TASKS[task](Path(folder), number, report)
    except Exception as error:
        message = str(error) if isinstance(error, StageFailure) else f"{type(error).__name__}: {error}"
        return {"failure": failure_class(error), "message": message}
    return {"failure": "", "bytes": size}


def _result(ray: Any, reference: Any) -> int:
    try:
        answer = ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        raise LostWorker(f"corpus: a Ray worker was lost ({error})") from error
    if answer["failure"]:
        raise FAILURES.get(answer["failure"], StageFailure)(answer["message"])
    return int(answer["bytes"])
