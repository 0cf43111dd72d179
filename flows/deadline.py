"""The deadline of a suspended run: an automation of the Prefect server resumes it when the time has come.

Prefect's own timeout of a suspension fails the run without asking anybody. Resumed, the flow itself applies
``rank.people.on_deadline``.
"""

from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.events.actions import ResumeFlowRun
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from flows.automations import PREFIX, remove, replace

SHORTEST = 10.0  # seconds; Prefect accepts no shorter absence


def set_deadline(run: str, flow_run: str, seconds: float) -> None:
    """Have the server resume a flow run that stays suspended for so many seconds. Replaces an earlier deadline."""
    automation = AutomationCore(
        name=_name(run),
        description=f"Resumes {run} at the deadline for its rankings.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            match={"prefect.resource.id": f"prefect.flow-run.{flow_run}"},
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.Suspended"},
            expect={"prefect.flow-run.Resuming"},
            threshold=1,
            within=timedelta(seconds=max(seconds, SHORTEST)),
        ),
        actions=[ResumeFlowRun()],
    )
    with get_client(sync_client=True) as client:
        replace(client, [automation])


def drop_deadline(run: str) -> None:
    """Forget the deadline of a run, if there is one."""
    with get_client(sync_client=True) as client:
        remove(client, _name(run))


def _name(run: str) -> str:
    return f"{PREFIX}deadline of {run}"
