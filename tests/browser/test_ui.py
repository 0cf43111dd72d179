"""The Prefect UI as an operator uses it, on a server that `plumbline up` started."""

import re
import time
from pathlib import Path

import psutil
import pytest
from pages import Pages

pytestmark = pytest.mark.browser

RUN = 1500  # seconds; a nano run takes about one minute, on cores that are shared several
STAGES = {"world", "corpus", "tokenizer", "pretrain", "finetune", "candidates", "rank", "reward", "ppo"} | {
    "evaluate",
    "report",
}
DRAWN = 8  # seconds until the graph of a run is there
AFTER_PPO = {"ppo", "evaluate", "report"}


def fill(pages: Pages, **choices: str) -> None:
    """A nano run with a few settings of its own, and stages to run again."""
    pages.open_form("align")
    pages.select("recipe", "nano")
    pages.type("pretrain_steps", "10")
    pages.type("kl_coefficient", "0.2")
    pages.add_override("ppo.iterations=1")
    for name, stage in choices.items():
        pages.select(name, stage)


@pytest.fixture(scope="module")
def finished(pages: Pages) -> str:
    """A whole run that was started in the form."""
    fill(pages)
    run = pages.submit()
    pages.watch(run)
    pages.wait_for(run, "Running", seconds=RUN)
    while "finetune" not in pages.stages(run):
        pages.wait_for(run, "Running", seconds=1)
        time.sleep(1)
    pages.picture("running", settle=DRAWN)
    pages.wait_for(run, "Completed", seconds=RUN)
    return run


def trainers(home: Path) -> list[int]:
    """Processes that run a stage of this home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "tasks.child" in words and str(home) in words[-1]:
            found.append(process.pid)
    return found


def test_the_form_says_what_everything_is(pages: Pages) -> None:
    pages.open_form("align")
    assert "Optimiser steps of pretraining. [steps, ≥ 0]" in pages.field("pretrain_steps").inner_text()
    assert "[reward/nat, ≥ 0]" in pages.field("kl_coefficient").inner_text()
    for name, about in {
        "recipe": "Recipe to run",
        "overrides": "as path=value",
        "rerun_from": "all that depend on it",
        "force": "only these",
    }.items():
        assert about in pages.field(name).inner_text()
    assert pages.field("seed").locator("input").get_attribute("type") == "number"
    assert "None" not in pages.field("dials").inner_text()


def test_a_run_from_the_form_completes(pages: Pages, finished: str) -> None:
    given = pages.ask(f"flow_runs/{finished}")["parameters"]
    assert given["dials"] == {"pretrain_steps": 10, "kl_coefficient": 0.2}
    assert pages.stages(finished) == dict.fromkeys(STAGES, "Completed")
    pages.watch(finished)
    pages.page.get_by_text("Completed").first.wait_for()
    pages.picture("completed", settle=DRAWN)


def test_a_second_run_reuses_everything(pages: Pages, finished: str) -> None:
    fill(pages)
    run = pages.submit()
    pages.wait_for(run, "Completed", seconds=RUN)
    assert pages.stages(run) == dict.fromkeys(STAGES, "Reused")
    pages.watch(run)
    pages.page.get_by_role("tab", name="Task Runs").or_(pages.page.get_by_text("Task Runs")).first.click()
    pages.page.get_by_text("Reused").first.wait_for()
    pages.picture("reused", settle=DRAWN)


def test_rerun_from_runs_exactly_the_dependents(pages: Pages, finished: str) -> None:
    fill(pages, rerun_from="ppo")
    pages.picture("form", height=1840)
    run = pages.submit()
    pages.wait_for(run, "Completed", seconds=RUN)
    wanted = {stage: "Completed" if stage in AFTER_PPO else "Reused" for stage in STAGES}
    assert pages.stages(run) == wanted
    assert pages.ask(f"flow_runs/{run}")["name"] == "nano from ppo"
    pages.watch(run)
    pages.page.get_by_text("Task Runs").first.click()
    pages.page.get_by_text("Reused").first.wait_for()
    pages.picture("rerun", settle=DRAWN)


def test_force_runs_only_the_stage(pages: Pages, finished: str) -> None:
    fill(pages, force="report")
    run = pages.submit()
    pages.wait_for(run, "Completed", seconds=RUN)
    assert pages.stages(run) == {stage: "Completed" if stage == "report" else "Reused" for stage in STAGES}


def test_cancel_ends_training_within_ten_seconds(pages: Pages, finished: str, site: tuple[str, Path]) -> None:
    pages.open_form("pretrain")
    pages.select("recipe", "nano")
    pages.type("pretrain_steps", "1000000")
    run = pages.submit()
    pages.watch(run)
    limit = time.monotonic() + RUN
    while not trainers(site[1]):
        assert time.monotonic() < limit, "training never began"
        time.sleep(0.2)
    pages.wait_for(run, "Running", seconds=60)
    pages.page.get_by_role("button", name="Cancel").first.click()
    dialog = pages.page.locator("[role=dialog], .p-modal").last
    dialog.wait_for()
    pages.picture("cancel")
    dialog.get_by_role("button", name="Confirm").click()
    begin = time.monotonic()
    while trainers(site[1]):
        assert time.monotonic() - begin < 10, "training goes on ten seconds after the click"
        time.sleep(0.1)
    print(f"training ended {time.monotonic() - begin:.1f} s after the click")
    pages.wait_for(run, "Cancelled", seconds=120)
    pages.page.reload()
    pages.page.get_by_text("Cancelled").first.wait_for()
    pages.picture("cancelled", settle=DRAWN)


def test_a_failed_run_is_tried_again(pages: Pages, finished: str, tmp_path: Path) -> None:
    """The file that was missing appears; Retry goes on with the same run."""
    pages.open_form("corpus")
    pages.select("recipe", "nano")
    pages.type("data_root", str(tmp_path))
    pages.add_override("corpus.sources.0.path=${data_root}/notes.jsonl")
    run = pages.submit()
    state = pages.wait_for(run, "Failed", seconds=RUN)
    assert "notes.jsonl" in state["message"]
    pages.watch(run)
    pages.page.get_by_text("Failed").first.wait_for()
    pages.picture("failed", settle=DRAWN)
    rows = [f'{{"id": "{number}", "text": "Note {number} is about the number {number}."}}' for number in range(50)]
    (tmp_path / "notes.jsonl").write_text("\n".join(rows), encoding="utf-8")
    pages.page.get_by_role("button", name="Retry").first.click()
    pages.page.locator("[role=dialog], .p-modal").last.get_by_role("button", name="Retry").last.click()
    limit = time.monotonic() + RUN
    while pages.ask(f"flow_runs/{run}")["state"]["type"] == "FAILED":
        assert time.monotonic() < limit
        time.sleep(0.2)
    pages.wait_for(run, "Completed", seconds=RUN)
    assert pages.stages(run) == {"corpus": "Completed"}
    pages.page.reload()
    pages.page.get_by_text("Completed").first.wait_for()
    pages.picture("retried", settle=DRAWN)


def test_a_value_out_of_range_is_refused_before_anything_runs(pages: Pages) -> None:
    pages.open_form("align")
    before = pages.ask("flow_runs/count", deployments={"name": {"any_": ["align"]}})
    pages.type("kl_coefficient", "-1")
    pages.page.get_by_role("button", name="Submit").click()
    pages.page.get_by_text(re.compile("less than the minimum|minimum of 0")).first.wait_for()
    pages.field("ppo_iterations").scroll_into_view_if_needed()
    pages.picture("refused")
    assert pages.ask("flow_runs/count", deployments={"name": {"any_": ["align"]}}) == before


def test_bad_overrides_fail_at_once_with_every_problem(pages: Pages) -> None:
    pages.open_form("align")
    pages.select("recipe", "nano")
    pages.add_override("pretrain.stepz=5")
    pages.add_override("ppo.iterations=-1")
    run = pages.submit()
    message = pages.wait_for(run, "Failed", seconds=RUN)["message"]
    assert "2 problem(s)" in message
    assert "pretrain.stepz: unknown setting" in message
    assert "ppo.iterations=-1" in message
    assert pages.stages(run) == {}
    pages.watch(run)
    pages.page.get_by_text("stepz").first.wait_for()
    pages.picture("bad-overrides", settle=DRAWN)
