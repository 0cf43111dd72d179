"""While a flow runs: end it when its worker dies, and when somebody cancels it and its worker does not notice.

A process worker that could not reach the server for half a minute never looks for cancelled runs again (Prefect
3.8.8), and a run that was started by hand has no worker. So the flow looks for itself.
"""

import contextlib
import contextvars
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from tasks.launch import abandoned, stopping

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

LOOK = 2.0  # seconds between two questions to the server
PATIENCE = 2.0  # seconds that the worker has to end a cancelled flow
LAST_WORDS = 10.0  # seconds in which a flow without a worker may tell the server that it crashed


class Lifeline:
    """A thread that ends this process as SIGTERM does. ``used`` says that it did."""

    def __init__(self, flow_run: str | None) -> None:
        self.flow_run, self.used = flow_run, False
        self._done = threading.Event()
        self._worker = os.getppid() if "PREFECT__FLOW_RUN_ID" in os.environ else None

    def start(self) -> None:
        """Watch the worker, if there is one, and the server, if one is named."""
        from prefect.settings import PREFECT_API_URL

        if self._worker is not None:
            threading.Thread(target=self._watch_worker, name="worker watch", daemon=True).start()
        if self.flow_run and PREFECT_API_URL.value():
            run = contextvars.copy_context().run  # with the settings of the flow
            threading.Thread(target=run, args=(self._watch_server,), name="cancel watch", daemon=True).start()

    def close(self) -> None:
        self._done.set()

    def give_back(self, error: BaseException, state: str) -> None:
        """After a cancel that the worker did not notice: nobody else would tell the server that the run has ended,
        and Prefect's engine would call it Crashed.
        """
        from prefect.exceptions import Abort

        if self.used and state == "Cancelled" and self.flow_run:
            confirm_cancelled(self.flow_run)
            raise Abort("cancelled") from error

    def _watch_worker(self) -> None:
        while os.getppid() == self._worker:
            if self._done.wait(0.1):
                return
        abandoned.set()
        self._end()
        time.sleep(LAST_WORDS)
        os.kill(os.getpid(), signal.SIGKILL)  # the server is away; it will miss the heartbeat

    def _watch_server(self) -> None:
        while not self._done.wait(LOOK):
            with contextlib.suppress(Exception), _impatient_client() as client:  # else the server is away
                while not _is_cancelled(client, self.flow_run):
                    if self._done.wait(LOOK):
                        return
                self._done.wait(PATIENCE)
                self._end()
                return

    def _end(self) -> None:
        if not self._done.is_set() and not stopping.is_set():
            self.used = True
            os.kill(os.getpid(), signal.SIGTERM)  # Prefect turns it into an exception of the main thread


def asked_to_cancel(flow_run: str | None) -> bool:
    """Whether the server wants this run to end; False when the server is away. One short question."""
    with contextlib.suppress(Exception), _impatient_client() as client:
        return _is_cancelled(client, flow_run)
    return False


@contextlib.contextmanager
def _impatient_client() -> Iterator["SyncPrefectClient"]:
    """A client that does not wait for a server which is away."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(httpx_settings={"timeout": 2.0}, sync_client=True) as client,
    ):
        yield client


def _is_cancelled(client: "SyncPrefectClient", flow_run: str | None) -> bool:
    state = client.read_flow_run(UUID(flow_run)).state if flow_run else None
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def confirm_cancelled(flow_run: str) -> None:
    """Tell the server that a cancelled run has ended, as the worker does when it notices."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled, State

    with get_client(sync_client=True) as client:
        state: State[None] = Cancelled(message="The flow noticed that it was cancelled.")
        client.set_flow_run_state(UUID(flow_run), state, force=True)
