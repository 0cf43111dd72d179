"""The pause for people: the flow gives candidates out, lets its process go, and goes on when rankings are in.

A run of a deployment is suspended: its worker is free, the Resume button of the Prefect UI (or ``plumbline resume``)
asks for the rankings, and any worker goes on. A run in a terminal ends in the state Waiting; the same command, or
``plumbline resume``, goes on.
"""

import time
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.logging import get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, State
from prefect.utilities.engine import propose_state_sync
from pydantic import Field, create_model
from rich.console import Console

from configs.schema.rank import RankConfig
from flows.deadline import drop_deadline, set_deadline
from flows.judge_key import lend_key
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadData
from tasks.rank.desk import Desk, open_desk, with_rankings
from tasks.rank.page.links import asked_links
from tasks.run import Run, own_run

KEY = "rankings"  # of a suspension; every refused answer leads to another: rankings-1, rankings-2, …


class Rankings(RunInput):
    """The Resume form."""

    rankings: str = Field(description="File with the ranks filled in, as the worker sees it.", min_length=1)
    annotator: str = Field("", description="Who ranked, for rows that do not say it.")


def for_rankings(run: Run, config: RankConfig, candidates: ArtifactRef | State[ArtifactRef] | None) -> RankConfig:
    """The rank settings with people's rankings in them; without ``ranker: people``, the settings as they are.

    While the rankings are not there, the process ends: prefect.exceptions.Pause. Raises BadConfig when more are asked
    for than there are candidates or the judge's key is not there, BadData when rank.people.path is wrong or the
    deadline says to fail.
    """
    lend_key(config)
    if "people" not in config.rankers or candidates is None:
        return config
    if isinstance(candidates, State):  # what a stage hands on inside a flow, so that Prefect sees who needs whom
        candidates = candidates.result()
    desk = open_desk(run.store, candidates, config.people)
    desk.give_out()
    try:
        file = desk.settled() or _wait(run, desk, candidates)
    except Exception:
        _forget_deadline(run, desk)
        raise
    run.go_on()
    _forget_deadline(run, desk)
    return with_rankings(config, file)


def _forget_deadline(run: Run, desk: Desk) -> None:
    if desk.deadline is not None and deployment.id:
        drop_deadline(run.record.run)


def _wait(run: Run, desk: Desk, candidates: ArtifactRef) -> Path:
    """The answer that this process was resumed with, or the full sheet; else the run suspends, or ends."""
    asked, refused = _times_asked(), ""
    if asked:
        given = _suspend(desk, asked, "")  # it was suspended so before: returns at once, with what the form held
        try:
            return desk.take(Path(given.rankings).absolute(), given.annotator)
        except BadData as error:
            refused = str(error)
            get_run_logger().warning("rankings refused: %s", refused)
    file = desk.ready()
    if file is None:
        by = "worker" if deployment.id else "terminal"
        run.wait("rank", {"file": str(desk.sheet), "by": by, "candidates": candidates.model_dump(mode="json")})
        if not deployment.id:  # Prefect suspends only what a worker can start again
            _end_waiting()
        if desk.deadline is not None:
            set_deadline(run.record.run, str(flow_run.id), desk.deadline - time.time())
        text = describe(run, desk, refused)
        create_markdown_artifact(text, key="rankings-wanted", description="What to rank, and how the run goes on.")
        file = Path(_suspend(desk, asked + 1, text).rankings)  # ends the process
    return file


def _times_asked() -> int:
    """How often this flow run was suspended for rankings. Answers before the last were refused: not read again."""
    if not deployment.id:
        return 0
    with get_client(sync_client=True) as client:
        keys = client.read_flow_run(UUID(str(flow_run.id))).empirical_policy.pause_keys or set()
    return sum(key.startswith(f"{KEY}-") for key in keys)


def _suspend(desk: Desk, number: int, text: str) -> Rankings:
    return suspend_flow_run(wait_for_input=_form(desk).with_initial_data(description=text), key=f"{KEY}-{number}")


def _form(desk: Desk) -> type[Rankings]:
    """The form with the sheet's path in it. Prefect's own way to fill a field in drops its description and limits."""
    field: Any = copy(Rankings.model_fields["rankings"])
    field.default = str(desk.sheet)
    return create_model("Rankings", __base__=Rankings, rankings=(str, field))


def _end_waiting() -> NoReturn:
    """End the flow run of a terminal: nothing failed, and nobody would start this flow run again."""
    state: Any = Completed(name="Waiting", message="Waits for rankings; the same command goes on when they are there.")
    with get_client(sync_client=True) as client:
        state = propose_state_sync(client, state, UUID(str(flow_run.id)))
    raise Pause(state=state)


def print_waiting(console: Console, again: dict[str, Any]) -> None:
    """The end of a run in a terminal that waits for rankings. again: what ``plumbline resume`` will run."""
    record = own_run()
    if record is None or not record.waiting:  # suspended by somebody else, in the UI
        console.print("\npaused; next: plumbline status")
        return
    recipe = Path(again["recipe"])
    record.waiting["again"] = {**again, "recipe": str(recipe.absolute() if recipe.is_file() else recipe)}
    record.save()
    console.print("\n[bold]Waiting for rankings[/bold]")
    for line in (
        f"on a page: plumbline rank {record.run} prints a link for each annotator",
        f"or fill in `ranks` in {record.waiting['file']}",
        "one whole number a candidate: 1 is the best, equal numbers are ties",
    ):
        console.print(f"  {line}", soft_wrap=True, markup=False)
    console.print(f"\nnext: plumbline rank {record.run}, or plumbline resume {record.run}\n", soft_wrap=True)


def _page(run: Run, desk: Desk) -> list[str]:
    """Markdown: where the page is, or how it is started."""
    if not desk.asked.page.serve:
        return [
            f"**On a page:** `plumbline rank {run.record.run} --annotator NAME …` prints a link for each annotator."
        ]
    links = asked_links(desk.folder, desk.asked)
    return [
        "**On a page**, one link an annotator (`plumbline up` serves it, or `plumbline rank --all`):",
        "",
        *(f"- {name}: {link}" for name, link in links.items()),
        "",
    ]


def describe(run: Run, desk: Desk, refused: str) -> str:
    """Markdown for the Resume dialog and the run's page."""
    lines = [f"**Refused:** {refused}", ""] if refused else []
    limit = ""
    if desk.deadline is not None:
        end = datetime.fromtimestamp(desk.deadline, UTC)
        policy = {"use": "the run goes on with what is there", "fail": "the run fails"}[desk.asked.on_deadline]
        limit = f"By **{end:%Y-%m-%d %H:%M} UTC**; after that {policy}."
    return "\n".join(
        [
            *lines,
            f"**The run waits for rankings by people:** {desk.progress()}. {limit}",
            "",
            *_page(run, desk),
            "When enough is in, the run goes on by itself.",
            "",
            "**In a file:**",
            "",
            f"1. Open `{desk.sheet}`",
            "2. A line is a prompt with its candidates. Fill in `ranks`, a whole number for each: 1 is the best, equal "
            "numbers are ties.",
            "3. Resume, with this file or a copy of it.",
            "",
            f"In a terminal: `plumbline resume {run.record.run}`",
        ]
    )
