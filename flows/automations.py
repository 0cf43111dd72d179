"""What the Prefect server does by itself: it notices dead runs and lets the next worker go on with them."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

PREFIX = "plumbline: "
TAG = "plumbline"  # deployments carry it, and their runs with them
HEARTBEAT = 30  # seconds; the shortest that Prefect accepts
MISSED = 3  # heartbeats
LOOP = 5.0  # seconds between two looks of the server at what did not happen
CALM = 20.0  # seconds between a crash and the next attempt
OTHER_STATES = ("Scheduled", "AwaitingRetry", "Pending", "Running", "Completed", "Failed", "Cancelling", "Cancelled")
OURS: dict[str, str | list[str]] = {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
ANY_RUN: dict[str, str | list[str]] = {"prefect.resource.id": "prefect.flow-run.*"}


def register(client: "SyncPrefectClient", heartbeat: int = HEARTBEAT) -> list[str]:
    """Put both automations on the server, in place of older ones of the same names; returns their names.

    heartbeat: seconds between two heartbeats of a flow run, as PREFECT_FLOWS_HEARTBEAT_FREQUENCY tells the workers'
    environment. A flow that beats less often than this says is taken for dead while it lives.
    """
    return replace(client, [crash(heartbeat), go_on()])


def crash(heartbeat: int) -> "AutomationCore":
    """A run that was heard of, and then neither beats nor changes its state for three heartbeats, is Crashed."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    within = MISSED * heartbeat - LOOP  # the server looks every few seconds: in all, three heartbeats
    return AutomationCore(
        name=f"{PREFIX}crash",
        description=f"No heartbeat for {MISSED} heartbeats of {heartbeat} s: the run is marked Crashed.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.heartbeat", "prefect.flow-run.Running"},
            expect={"prefect.flow-run.*"},
            match=ANY_RUN,
            match_related=OURS,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=within),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                force=False,
                message=f"No heartbeat for {within:g} s: flow and worker were killed, or their machine is gone.",
            )
        ],
    )


def go_on() -> "AutomationCore":
    """A crashed run of a deployment is scheduled again, as the same flow run: the next worker takes it.

    Not at once: a worker reports the crash of a flow twice, seconds apart, and the second report would hit the new
    attempt. A run that somebody retried or cancelled meanwhile is left alone.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=f"{PREFIX}go on",
        description="A crashed run is scheduled again and goes on from its last checkpoint.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.Crashed"},
            expect={f"prefect.flow-run.{name}" for name in OTHER_STATES},
            match=ANY_RUN,
            # A run that was started by hand has no deployment, and no worker could take it
            match_related=[OURS, {"prefect.resource.role": "deployment"}],
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=CALM),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name="AwaitingRetry",
                force=False,
                message="The run crashed; the next worker goes on from its last checkpoint.",
            )
        ],
    )


def replace(client: "SyncPrefectClient", automations: Iterable["AutomationCore"]) -> list[str]:
    """Create automations; those that the server has under the same names go."""
    names = []
    for automation in automations:
        remove(client, automation.name)
        client.create_automation(automation)
        names.append(automation.name)
    return names


def remove(client: "SyncPrefectClient", name: str) -> int:
    """Delete every automation of this name; returns how many there were."""
    found = client.read_automations_by_name(name)
    for automation in found:
        client.delete_automation(automation.id)
    return len(found)
