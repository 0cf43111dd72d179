"""The Resume dialog of a run that waits for rankings, in a real browser: refused, asked again, accepted."""

import json
import time
from pathlib import Path

import pytest
from asking import fill_in
from pages import Pages

pytestmark = pytest.mark.browser


def start(pages: Pages, *overrides: str) -> str:
    deployment = pages.ask("deployments/name/align/align")
    parameters = {"recipe": "nano", "overrides": list(overrides)}
    return str(pages.ask(f"deployments/{deployment['id']}/create_flow_run", parameters=parameters)["id"])


def open_dialog(pages: Pages, run: str) -> None:
    pages.watch(run)
    pages.page.get_by_role("button", name="Resume").click()
    pages.page.get_by_text("Resume Flow Run").wait_for()


def submit(pages: Pages, run: str, annotator: str = "") -> None:
    """Fill in and submit until the server takes it: SQLite under load answers a request with `database is locked`."""
    before = suspension(pages, run)
    for _ in range(5):
        open_dialog(pages, run)
        if annotator:
            pages.type("Annotator", annotator)
        pages.page.get_by_role("button", name="Submit").click()
        pages.page.wait_for_timeout(10_000)
        if suspension(pages, run) != before:
            return
    raise AssertionError(f"submitted five times, and the run is still suspended for {before}")


def suspension(pages: Pages, run: str) -> str | None:
    """What a suspended run waits for: rankings-1, and rankings-2 when the first were refused. None while it goes on."""
    state = pages.ask(f"flow_runs/{run}")["state"]
    return state["state_details"]["pause_key"] if state["name"] == "Suspended" else None


def wait_for_suspension(pages: Pages, run: str, key: str, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while suspension(pages, run) != key:
        assert time.monotonic() < limit, f"no suspension {key}"
        time.sleep(1)


def test_rankings_are_given_in_the_resume_dialog(pages: Pages, site: tuple[str, Path]) -> None:
    run = start(pages, "rank.ranker=people", "rank.people.deadline_hours=48")
    wait_for_suspension(pages, run, "rankings-1", seconds=600)
    sheet = next(site[1].glob("rankings/*/candidates.jsonl"))
    open_dialog(pages, run)
    pages.page.get_by_text("0 of 8 prompts are ranked").wait_for()
    pages.page.get_by_text("File with the ranks filled in, as the worker sees it.").wait_for()
    assert pages.field("Rankings").locator("textarea").input_value() == str(sheet)
    pages.picture("resume")

    submit(pages, run)  # nobody has ranked anything yet
    wait_for_suspension(pages, run, "rankings-2", seconds=300)
    fill_in(sheet, count=8, ranks=(2, 1, 3, 3))
    open_dialog(pages, run)
    pages.page.get_by_text("Refused:").wait_for()
    submit(pages, run, "ann")
    pages.wait_for(run, "Completed", seconds=600)
    kept = sheet.with_name("rankings.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(kept) == 8
    assert all(json.loads(line)["annotator"] == "ann" for line in kept)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (site[1] / "runs").glob("*.json")]
    (record,) = [record for record in records if record["flow_run"] == run]
    states = {row["name"]: row["state"] for row in record["stages"]}
    assert {states[name] for name in ("corpus", "pretrain", "finetune", "candidates")} == {"Reused"}
    assert states["rank"] == states["ppo"] == "Completed"
