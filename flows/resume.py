"""`plumbline resume`: give rankings to a run that waits for them, and let it go on."""

from pathlib import Path
from uuid import UUID

from configs.recipe import load_recipe
from configs.schema import AlignConfig
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadConfig
from tasks.rank.desk import Desk, open_desk
from tasks.rank.people import prompts_ranked
from tasks.run import RunRecord, find_run, open_store, records


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
