"""A stage as a Prefect task: retries for what may pass, states that say what happened, live metrics in the UI."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.logging import get_run_logger
from prefect.states import Completed, State
from prefect.tasks import exponential_backoff

from configs.schema.strict import Strict
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import StageFailure
from tasks.run import Run

LOG_EVERY = 10.0  # seconds between two progress lines in Prefect; every event is in the stage's own log

Execute = Callable[[Run, Strict, Mapping[str, ArtifactRef]], tuple[ArtifactRef, str]]


def as_task(name: str, about: str | None, version: int, execute: Execute) -> Task[..., Any]:
    """Wrap what a stage executes: artifact reference and state, "Reused" or "Completed".

    The artifact store decides on reuse, so Prefect's own result cache is switched off.
    """

    @task(
        name=name,
        description=about,
        version=str(version),
        cache_policy=NO_CACHE,
        persist_result=True,
        result_serializer="json",  # a pickle on disk would be code
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.3,
        retry_condition_fn=is_transient,
    )
    def call(run: Run, config: Strict, refs: dict[str, ArtifactRef]) -> State[ArtifactRef]:
        watcher = PrefectListener()
        run.listeners.append(watcher)
        try:
            ref, state = execute(run, config, refs)
        finally:
            run.listeners.remove(watcher)
        return Completed(name=state, data=ref, message=f"{state} {ref.kind} {ref.digest[:12]}, {ref.uri}")

    return call


def is_transient(task: Any, task_run: TaskRun, state: State[Any]) -> bool:
    """Retry only failures that may pass: a lost worker, storage. Bad data stays bad."""
    try:
        state.result()
    except StageFailure as failure:
        return failure.transient
    except OSError:
        return True
    except Exception:
        return False
    return False


class PrefectListener:
    """Sends sampled progress lines of the running stage to Prefect's log."""

    def __init__(self) -> None:
        self.logger = get_run_logger()
        self.logged = time.monotonic()

    def started(self, stage: str) -> None:
        self.logger.info("%s: started", stage)

    def event(self, stage: str, event: dict[str, Any]) -> None:
        if event["event"] == "say":
            self.logger.info("%s: %s", stage, event["text"])
            return
        now = time.monotonic()
        if now - self.logged >= LOG_EVERY:
            self.logged = now
            values = " ".join(f"{name} {value:.4g}" for name, value in event["values"].items())
            self.logger.info("%s: %s/%s %s %s", stage, event["done"], event["total"], event["unit"], values)

    def finished(self, stage: str, row: dict[str, Any]) -> None:
        self.logger.info("%s: %s in %s s", stage, row["state"], row["seconds"])
