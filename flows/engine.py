"""Around every flow: settings of the embedded Prefect server, and the run that its stages share."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.schema import STAGES, AlignConfig
from tasks.run import Listener, Run
from tasks.stages import BY_NAME, dependents

SETTINGS = {
    # The default 20 s is too short on a loaded machine
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    # The default 180 s would notice a dead run after nine minutes; flows/automations.py counts on this number
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # In memory, the default, a server that restarts forgets who holds a slot and never gives it back
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}
watchers: list[Listener] = []  # the command line puts its terminal here


def prepare_environment(quiet: bool = False) -> None:
    """Set what Prefect reads when it is imported; what the user has set stays."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if os.environ.get("PREFECT_HOME"):  # Prefect's server does not start when the parent of its home is missing
        Path(os.environ["PREFECT_HOME"]).expanduser().mkdir(parents=True, exist_ok=True)
    if quiet:  # the terminal table says it better, errors too; the log lines still go to Prefect's server
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


@contextmanager
def open_run(
    config: AlignConfig, rerun_from: str | None = None, force: Sequence[str] = (), only: str | None = None
) -> Iterator[Run]:
    """Begin a run, note how it ends. ``only`` is the single stage of a one-stage flow."""
    from prefect.runtime import flow_run

    from flows.endings import refuse_repeated_crashes, state_after
    from flows.eyes.watch import open_eyes
    from flows.lifeline import Lifeline

    names = [only] if only else [name for name in STAGES if getattr(config, name) is not None]
    forced = {*force, *(dependents(rerun_from) if rerun_from else ())}
    run = Run.begin(config, names, forced, flow_run=str(flow_run.id) if flow_run.id else None)
    run.listeners.extend(watchers)
    eyes = open_eyes(run)
    lifeline = Lifeline(run.record.flow_run)
    lifeline.start()
    try:
        refuse_repeated_crashes(flow_run)
        yield run
    except BaseException as error:
        lifeline.close()
        run.end(state_after(error, run.record.flow_run))
        lifeline.give_back(error, run.record.state)
        raise
    else:
        run.end("Completed")
    finally:
        lifeline.close()
        if eyes:
            eyes.close()


def run_single(name: str, config: AlignConfig, force: bool) -> Any:
    """Run one stage of a recipe; its inputs must be in the store. Raises BadConfig naming the first that is not."""
    from flows.gate import pass_gate
    from flows.plan import find_inputs
    from flows.waiting import for_rankings

    with open_run(config, force=[name] if force else (), only=name) as run:
        refs = find_inputs(run.store, config, name)
        part = getattr(config, name)
        if name == "rank":
            part = for_rankings(run, part, refs.get("candidates"))
        if name == "ppo":
            pass_gate(run, config.reward.gate, refs["reward"])
        return BY_NAME[name](run, part, **refs)
