"""`plumbline deploy`: work pool, deployments and automations on the Prefect server that PREFECT_API_URL names."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tasks.failures import BadConfig

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.responses import DeploymentResponse

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "deploy" / "prefect.yaml"
POOL = "plumbline"


def deploy(pool: str = POOL, directory: str | None = None) -> None:
    """Register everything and print what is there. See ``register_all``; a server must answer."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise BadConfig(
            "PREFECT_API_URL is not set: start a server with `plumbline up`, or set it to your own server's"
        )
    with get_client(sync_client=True) as client:
        names = register_all(client, pool, directory)
        _print_deployments(client, pool, names)


def register_all(client: "SyncPrefectClient", pool: str = POOL, directory: str | None = None) -> list[str]:
    """Create the pool when it is missing, register every deployment and automation; returns the automations' names.

    directory: where workers find this project; here by default. Raises BadConfig when a pool of another type than
    process is missing: its template is yours to choose.
    """
    import os

    from flows import automations

    ensure_pool(client, pool)
    for entry in read_deployments():
        register(client, entry, pool, directory or str(ROOT))
    return automations.register(client, int(os.environ.get("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", automations.HEARTBEAT)))


def read_deployments() -> list[dict[str, Any]]:
    """The entries of deploy/prefect.yaml. Raises BadConfig when this is an installation without it."""
    if not FILE.is_file():
        raise BadConfig(f"{FILE} is missing: deploy from a clone of the project, not from an installed package")
    return list(yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"])


def ensure_pool(client: "SyncPrefectClient", name: str) -> None:
    """Create a process pool; one that exists stays as it is, whatever its type."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        client.read_work_pool(name)
        return
    except ObjectNotFound:
        if name != POOL:
            raise BadConfig(
                f"work pool {name!r} does not exist: prefect work-pool create {name} --type TYPE "
                "--base-job-template deploy/TYPE/base-job-template.json"
            ) from None
    template = ProcessWorker.get_default_base_job_template()
    # Else a worker that is killed breaks the pipe of its flows' output
    template["variables"]["properties"]["stream_output"]["default"] = False
    about = "Flows as processes of the worker's machine."
    client.create_work_pool(WorkPoolCreate(name=name, type="process", description=about, base_job_template=template))


def register(client: "SyncPrefectClient", entry: dict[str, Any], pool: str, directory: str) -> None:
    """Create or replace one deployment, as ``prefect deploy`` does; schedules that are on stay on."""
    from prefect.flows import load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    file, _, function = entry["entrypoint"].partition(":")
    flow: Any = load_flow_from_entrypoint(f"{ROOT / file}:{function}")
    client.create_deployment(
        flow_id=client.create_flow_from_name(flow.name),
        name=entry["name"],
        entrypoint=entry["entrypoint"],
        version=flow.version,
        description=entry["description"],
        tags=entry["tags"],
        schedules=list(_schedules(entry, _switched_on(client, f"{flow.name}/{entry['name']}"))),
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=entry["enforce_parameter_schema"],
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": directory}}],
        work_pool_name=pool,
        job_variables=entry["work_pool"]["job_variables"],
    )


def _switched_on(client: "SyncPrefectClient", name: str) -> set[str | None]:
    """Slugs of the schedules that an operator has switched on: a new deployment would silently switch them off."""
    from prefect.exceptions import ObjectNotFound

    try:
        return {schedule.slug for schedule in client.read_deployment_by_name(name).schedules if schedule.active}
    except ObjectNotFound:
        return set()


def _schedules(entry: dict[str, Any], on: set[str | None]) -> "Iterator[DeploymentScheduleCreate]":
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    for item in entry.get("schedules", []):
        yield DeploymentScheduleCreate(
            schedule=CronSchedule(cron=item["cron"], timezone=item["timezone"]),
            active=item["active"] or item["slug"] in on,
            parameters=item.get("parameters", {}),
            slug=item["slug"],
        )


def _print_deployments(client: "SyncPrefectClient", pool: str, automations: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table()
    for heading in ("deployment", "schedule", "what it does"):
        table.add_column(heading, no_wrap=True)
    for entry in read_deployments():
        found = client.read_deployment_by_name(f"{entry['name']}/{entry['name']}")
        table.add_row(f"{entry['name']}/{entry['name']}", describe_schedules(found), _first_sentence(found))
    console.print(table)
    console.print(f"work pool {pool}; automations: {', '.join(automations)}")
    online = [worker for worker in client.read_workers_for_work_pool(pool) if worker.status == "ONLINE"]
    start = f"http://{client.api_url.netloc.decode()}/deployments" if online else ""
    console.print(f"\nnext: open {start}" if online else f"\nnext: prefect worker start --pool {pool}", soft_wrap=True)


def describe_schedules(deployment: "DeploymentResponse") -> str:
    """``weekly 0 2 * * 6 UTC, off``; a dash without schedules."""
    rows = [
        f"{item.slug} {item.schedule.cron} {item.schedule.timezone}, {'on' if item.active else 'off'}"  # type: ignore[union-attr]
        for item in deployment.schedules
        if hasattr(item.schedule, "cron")
    ]
    return "\n".join(rows) or "–"


def _first_sentence(deployment: "DeploymentResponse") -> str:
    return (deployment.description or "").replace("**", "").replace("\n", " ").split(". ")[0].rstrip(".") + "."
