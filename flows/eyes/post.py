"""Sends artifacts to Prefect's server from a thread of its own: no stage waits for it, and no error of it counts."""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

EVERY = 1.0  # seconds between two versions of the same artifact

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass(frozen=True)
class Post:
    """One artifact. ``draw`` is called in the thread, and None from it means that there is nothing to show."""

    key: str
    draw: Callable[[], str | float | None]
    description: str
    type: str = "markdown"
    task_run: UUID | None = None


class Poster:
    """Creates an artifact a key and then updates it; of versions that wait, only the newest is sent."""

    def __init__(self, flow_run: UUID, log: Log, again: bool = False) -> None:
        """again: an earlier process of the same flow run has made artifacts, which are then updated."""
        self.ids: dict[str, UUID] = {}
        self._again = again
        self._flow_run, self._log = flow_run, log
        self._waiting: dict[str, Post] = {}
        self._sent: dict[str, float] = {}
        self._closing = self._complained = False
        self._changed = threading.Condition()
        # The context holds Prefect's settings and the client of the flow
        work = copy_context()
        self._thread = threading.Thread(target=work.run, args=(self._work,), name="eyes", daemon=True)
        self._thread.start()

    def put(self, post: Post) -> None:
        """Send it soon."""
        with self._changed:
            self._waiting.pop(post.key, None)  # to the end: a summary is drawn after what it sums up
            self._waiting[post.key] = post
            self._changed.notify()

    def close(self, patience: float) -> None:
        """Send what is left, for ``patience`` seconds at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience)
        if self._thread.is_alive():
            self._complain("the server did not take all artifacts of the run within %g s", patience)

    def _work(self) -> None:
        while (post := self._next()) is not None:
            try:
                self._send(post)
            except Exception as error:
                self._complain("artifact %s is not shown: %s: %s", post.key, type(error).__name__, error)

    def _next(self) -> Post | None:
        """Wait for a post that is due; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                due = {key: self._sent.get(key, now - EVERY) + EVERY - now for key in self._waiting}
                ready = next((key for key, wait in due.items() if wait <= 0 or self._closing), None)
                if ready is not None:
                    self._sent[ready] = now
                    return self._waiting.pop(ready)
                if self._closing:
                    return None
                self._changed.wait(min(due.values(), default=None))

    def _send(self, post: Post) -> None:
        data = post.draw()
        if data is None:
            return
        # The flow's client, which is open; entering it here as well would race with the flow for who closes it
        client = get_client(sync_client=True)
        if self._again:
            mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[self._flow_run]))
            found = client.read_artifacts(artifact_filter=mine)
            self.ids |= {artifact.key: artifact.id for artifact in found if artifact.key}
            self._again = False
        if post.key in self.ids:
            client.update_artifact(self.ids[post.key], ArtifactUpdate(data=data, description=post.description))
            return
        asked = ArtifactCreate(
            key=post.key,
            type=post.type,
            description=post.description,
            data=data,
            flow_run_id=self._flow_run,
            task_run_id=post.task_run,
        )
        self.ids[post.key] = client.create_artifact(asked).id

    def _complain(self, text: str, *values: object) -> None:
        """Once a run is enough: the run itself is well."""
        self._log.log(logging.DEBUG if self._complained else logging.WARNING, text, *values)
        self._complained = True
