"""How a run ends that did not finish by itself: cancelled, crashed, paused; and how often it may crash."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flows.lifeline import asked_to_cancel
from tasks.failures import BadConfig

MAX_CRASHES = "PLUMBLINE_MAX_CRASHES"
WINDOW = timedelta(hours=24)  # a month of training may well outlive five machines


def state_after(error: BaseException, flow_run: str | None) -> str:
    """State of the run record after an exception.

    Ctrl-C is Cancelled. SIGTERM is what a worker sends both when a person cancels and when the worker itself is
    stopped; the server knows which.
    """
    from prefect.exceptions import Pause, TerminationSignal

    if isinstance(error, Exception):
        return "Failed"
    if isinstance(error, Pause):
        return "Paused"
    if isinstance(error, TerminationSignal) and not asked_to_cancel(flow_run):
        return "Crashed"
    return "Cancelled"


def refuse_repeated_crashes(flow_run: Any) -> None:
    """Raise BadConfig, so that the run fails, when it crashed PLUMBLINE_MAX_CRASHES times (4) within 24 hours.

    flow_run: ``prefect.runtime.flow_run``. Crashes before the last other end do not count: a person who retries a
    run in the UI gives it the whole number again.
    """
    from prefect.client.orchestration import get_client

    if flow_run.id is None or flow_run.run_count < 2:
        return
    limit = _limit()
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(UUID(str(flow_run.id)))
    ends = sorted((state for state in states if state.is_final()), key=lambda state: state.timestamp)
    crashes: list[str] = []
    for state in ends:
        if not state.is_crashed():
            crashes = []
        elif state.timestamp > datetime.now(UTC) - WINDOW:
            crashes.append(state.message or "no message")
    if len(crashes) >= limit:
        raise BadConfig(
            f"this run crashed {len(crashes)} times within 24 hours, {MAX_CRASHES}={limit}; the last time: "
            f"{crashes[-1]} Its checkpoints are kept: when the cause is gone, Retry in the UI goes on from them"
        )


def _limit() -> int:
    given = os.environ.get(MAX_CRASHES, "4")
    if not given.isdigit() or int(given) < 1:
        raise BadConfig(f"{MAX_CRASHES}={given!r} is not a number of crashes, 1 or more; change the environment")
    return int(given)
