"""`plumbline resume`: give rankings to a run that waits for them, and let it go on."""

from pathlib import Path
from uuid import UUID

from configs.recipe import load_recipe
from configs.schema import AlignConfig
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadConfig
from tasks.rank.desk import Desk, open_desk
from tasks.rank.people import prompts_ranked
from tasks.run import RunRecord, end_record, find_run, load_record, open_store, records


def resume(name: str | None, rankings: Path | None, annotator: str) -> None:
    """Check the rankings, keep them, and go on: by a worker, or here when the run was started in a terminal.

    Raises BadConfig when the run does not wait, BadData when the rankings cannot be used; the run then waits on.
    """
    record = waiting_run(name)
    desk = desk_of(record)
    go_on(record, desk, desk.take(rankings.absolute(), annotator) if rankings else desk.collect(annotator))


def go_on(record: RunRecord, desk: Desk, file: Path) -> None:
    """Let a run go on with rankings that were accepted."""
    print(f"{record.run}: {prompts_ranked(desk.read(file))} ranked prompts accepted, kept in {file}", flush=True)
    if record.waiting["by"] == "worker":
        _resume_flow_run(record, file)
        print(f"next: plumbline status {record.run}   (a worker goes on with it)")
    else:
        _go_on_here(record)


def waiting_run(name: str | None) -> RunRecord:
    """The run of this name, or the latest that waits. Raises BadConfig."""
    waiting = [record for record in records() if record.state == "Waiting"]
    if name is None and waiting:
        return waiting[-1]
    record = find_run(name)
    if record.state != "Waiting":
        others = ", ".join(other.run for other in waiting[-5:]) or "none"
        raise BadConfig(f"run {record.run} is {record.state} and waits for nothing; waiting: {others}")
    return record


def desk_of(record: RunRecord) -> Desk:
    config = AlignConfig.model_validate(record.config)
    return open_desk(open_store(config), ArtifactRef.model_validate(record.waiting["candidates"]), config.rank.people)


def waits(record: RunRecord, ask_server: bool = False) -> bool:
    """Whether a run still waits by its record, which may be gone, and, if that is asked, by its server.

    A run that was cancelled or deleted in the UI while it waited has no process that could write its record: it is
    written here.
    """
    try:
        now = load_record(record.path)
    except FileNotFoundError:
        return False
    if now.state != "Waiting":
        return False
    if ask_server and now.waiting["by"] == "worker" and (end := _end_at_server(now)):
        end_record(now, end)
        return False
    return True


def _end_at_server(record: RunRecord) -> str:
    """The name of the final state of a suspended run; empty while it is none, or cannot be known."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        return ""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(record.flow_run)).state
    except ObjectNotFound:
        return "Cancelled"
    except (httpx.HTTPError, PrefectHTTPStatusError):
        return ""
    return str(state.name) if state is not None and state.is_final() else ""


def _resume_flow_run(record: RunRecord, file: Path) -> None:
    from prefect.exceptions import NotPausedError, ObjectNotFound
    from prefect.flow_runs import resume_flow_run
    from prefect.settings import PREFECT_API_URL

    server = PREFECT_API_URL.value()
    if not server:
        raise BadConfig(
            f"run {record.run} belongs to a Prefect server, and PREFECT_API_URL is not set; the rankings are kept, "
            "set it and resume again"
        )
    try:
        resume_flow_run(UUID(record.flow_run), run_input={"rankings": str(file)})
    except ObjectNotFound:
        raise BadConfig(f"the server {server} does not know run {record.run}; set PREFECT_API_URL to its own") from None
    except NotPausedError:
        print("the server had resumed it already")
    except RuntimeError as refusal:
        raise BadConfig(f"the server refused: {refusal}; the rankings are kept, resume again") from None


def _go_on_here(record: RunRecord) -> None:
    """Run the same command again, in this process."""
    from flows.terminal import run_recipe

    again = record.waiting.get("again")
    if again is None:
        print(f"next: plumbline run {record.recipe}   (with the settings of the run; it goes on)")
        return
    config = load_recipe(again["recipe"], again["changes"])
    run_recipe(again["recipe"], again["changes"], config, again["rerun_from"], again["force"])
