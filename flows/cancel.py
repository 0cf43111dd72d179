"""`plumbline cancel`: end a run that another process drives, and wait until nothing of it trains any more."""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from uuid import UUID

from tasks.failures import BadConfig
from tasks.run import RunRecord, end_record, find_run, load_record, records
from tasks.supervisor import group_alive, start_ticks

PATIENCE = 60.0  # seconds, on top of what the run's stages get to save a checkpoint
LOOK_EVERY = 0.1


def cancel(name: str | None) -> None:
    """Cancel a run and say how long it took; exit status 1 when it does not end.

    Raises BadConfig when the run is over, or driven by a host or server that cannot be reached from here.
    """
    record, begin = _live_run(name), time.monotonic()
    groups = _groups(record)
    print(f"cancelling {record.run}, {record.state}", flush=True)
    asked = _ask_server(record)
    if not asked:
        _signal(record)
    patience, trained = PATIENCE + _grace(record), 0.0
    while left := _left(record, groups, asked):
        if any(map(_lives, groups)):
            trained = time.monotonic() - begin
        if time.monotonic() - begin > patience:
            print(f"{record.run} has not ended after {patience:.0f} s: {left}", file=sys.stderr)
            print(f"next: plumbline status {record.run}")
            sys.exit(1)
        time.sleep(LOOK_EVERY)
    _note(record)
    total = time.monotonic() - begin
    print(f"cancelled after {total:.1f} s, training ended after {trained:.1f} s; checkpoints are kept")
    print(f"next: plumbline rerun {record.run}   (goes on where it stopped)")


def _live_run(name: str | None) -> RunRecord:
    """The run of this name, or the latest that runs or waits. Raises BadConfig when it is over."""
    live = [record for record in records() if record.state in ("Running", "Waiting")]
    if name is None and live:
        return live[-1]
    record = find_run(name)
    if record.state not in ("Running", "Waiting") and not _ask_server(record, only_look=True):
        others = ", ".join(other.run for other in live[-5:]) or "none"
        raise BadConfig(f"run {record.run} is {record.state}, there is nothing to cancel; running: {others}")
    return record


def _ask_server(record: RunRecord, only_look: bool = False) -> bool:
    """Tell the Prefect server to cancel a run of a deployment, which its worker then does.

    False for a run of a terminal, and when no server is named. only_look: change nothing; True when there is something
    to cancel.
    """
    if record.flow_run is None:
        return False
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        return False
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Cancelling

    with get_client(sync_client=True) as client:
        try:
            run = client.read_flow_run(UUID(record.flow_run))
        except ObjectNotFound:
            return False
        if run.deployment_id is None or run.state is None or run.state.is_final():
            return False
        if not only_look:
            client.set_flow_run_state(run.id, Cancelling(message="plumbline cancel"))
    return True


def _signal(record: RunRecord) -> None:
    """What Ctrl-C does. Raises BadConfig when the process is not here."""
    if record.state == "Waiting" and not record.alive():  # no page in its terminal: its record alone says so
        return
    if not record.alive():
        raise BadConfig(
            f"process {record.pid} of run {record.run} is not on this host; cancel it there, or name its Prefect "
            "server in PREFECT_API_URL"
        )
    descriptor = os.pidfd_open(record.pid)
    try:
        if record.alive():  # looked at again: the descriptor now stands for this very process
            # A shell that starts a job in the background makes it deaf to Ctrl-C
            signal.pidfd_send_signal(descriptor, signal.SIGINT if _hears_interrupt(record.pid) else signal.SIGTERM)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _hears_interrupt(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    ignored = next((line.split()[1] for line in lines if line.startswith("SigIgn:")), "0")
    return not int(ignored, 16) >> (signal.SIGINT - 1) & 1


def _grace(record: RunRecord) -> float:
    """The longest time that a stage of the run gets to save a checkpoint, in seconds."""
    parts = (part for part in record.config.values() if isinstance(part, dict))
    return max((float(part.get("launch", {}).get("grace_seconds", 0.0)) for part in parts), default=0.0)


def _left(record: RunRecord, groups: set[tuple[int, str]], asked: bool) -> str:
    """What of a run has not ended: a training process or the run's own here, or what its server says; else ""."""
    alive = record.alive()
    if alive:
        groups |= _groups(load_record(record.path))  # afterwards another run may train in the same folders
    if training := [str(number) for number, ticks in groups if _lives((number, ticks))]:
        return f"process group {', '.join(training)} trains"
    if alive:
        return f"process {record.pid} runs, and trains no more"
    return "its server says that it is not over" if asked and _ask_server(record, only_look=True) else ""


def _lives(group: tuple[int, str]) -> bool:
    number, ticks = group
    return start_ticks(number) in ("", ticks) and group_alive(number)  # another leader: the number was given away again


def _groups(record: RunRecord) -> set[tuple[int, str]]:
    """Process groups that were started for the stages which run: number and start time of the leader."""
    found = set()
    for row in record.stages:
        if row["state"] == "Running" and row.get("work"):
            with contextlib.suppress(OSError, ValueError):
                started = json.loads((Path(row["work"]) / "child.json").read_text(encoding="ascii"))
                found.add((started["group"], started["ticks"]))
    return found


def _note(record: RunRecord) -> None:
    """A run that could not write its own end any more is Cancelled all the same."""
    now = load_record(record.path)
    if now.state in ("Running", "Waiting", "Interrupted", "Crashed"):
        end_record(now, "Cancelled")
