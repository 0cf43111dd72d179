"""A run in a terminal that waits for people: it ends, says what to do, and the same command goes on."""

from pathlib import Path
from uuid import UUID

import pytest
from asking import asks, fill_in
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause

from configs.recipe import load_recipe
from configs.schema import STAGES
from flows.resume import resume
from flows.upkeep import collect_garbage
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadConfig, BadData
from tasks.run import Run, RunRecord, find_run, open_store, records

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(autouse=True)
def child_sees_tests(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


def ask(*changes: str) -> RunRecord:
    with pytest.raises(Pause):
        asks(list(changes))
    return find_run(None)


def states(record: RunRecord) -> dict[str, str]:
    return {name: record.row(name)["state"] for name in ("candidates", "rank")}


def test_the_run_waits_and_the_same_command_goes_on_with_the_full_sheet() -> None:
    record = ask()
    assert (record.state, states(record)) == ("Waiting", {"candidates": "Completed", "rank": "Waiting"})
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(record.flow_run)).state
    assert state is not None
    assert (state.name, state.is_completed()) == ("Waiting", True)
    fill_in(Path(record.waiting["file"]), count=3)
    assert ask().run == record.run, "three of four prompts are ranked: it waits on, in the same record"
    fill_in(Path(record.waiting["file"]))
    asks([])
    done = find_run(record.run)
    assert len(records()) == 1
    assert (done.state, states(done)) == ("Completed", {"candidates": "Reused", "rank": "Completed"})
    assert done.row("rank")["metrics"]["prompts"] == 4
    assert done.waiting == {}


def test_people_are_asked_once_and_rankings_are_part_of_the_key() -> None:
    record = ask()
    fill_in(Path(record.waiting["file"]))
    asks([])
    asks(["reward.epochs=1"])
    assert states(find_run(None)) == {"candidates": "Reused", "rank": "Reused"}
    other = fill_in(Path(record.waiting["file"]), ranks=(3, 1, 2)).rename(record.path.with_name("others.jsonl"))
    asks([f"rank.people.path={other}"])
    assert states(find_run(None)) == {"candidates": "Reused", "rank": "Completed"}


def test_a_named_file_that_is_wrong_fails_the_run() -> None:
    with pytest.raises(BadData, match="no such file"):
        asks(["rank.people.path=/nowhere/ranked.jsonl"])
    with pytest.raises(BadConfig, match=r"rank\.people\.target=9, but the candidates hold 4 prompts"):
        asks(["rank.people.target=9"])
    assert find_run(None).state == "Failed"


def test_gc_keeps_what_a_waiting_run_needs() -> None:
    record = ask()
    newer = Run.begin(load_recipe("nano"), STAGES)
    newer.end("Completed")
    collect_garbage(dry_run=False, unreferenced=True, keep_runs=1)
    open_store().verify(ArtifactRef.model_validate(record.waiting["candidates"]))
    assert Path(record.waiting["file"]).is_file()


def test_resume_refuses_what_is_wrong_and_keeps_what_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadConfig, match="no run in"):
        resume(None, None, "")
    record = ask()
    with pytest.raises(BadData, match="0 of 4 prompts are ranked"):
        resume(None, None, "")
    sheet = Path(record.waiting["file"])
    copy = sheet.with_name("copy.jsonl")
    copy.write_bytes(sheet.read_bytes())
    resume(record.run[:8], fill_in(copy), "ann")
    said = capsys.readouterr().out
    assert "4 ranked prompts accepted" in said
    assert "next: plumbline run nano" in said, "this toy was not started by plumbline run"
    asks([])
    done = find_run(None)
    assert done.state == "Completed"
    with pytest.raises(BadConfig, match="is Completed and waits for nothing; waiting: none"):
        resume(record.run, None, "")


def test_the_deadline_is_applied_by_the_next_start() -> None:
    record = ask("rank.people.deadline_hours=1", "rank.people.on_deadline=use")
    sheet = fill_in(Path(record.waiting["file"]), count=2)
    sheet.with_name("asked.json").write_text('{"time": 0}', encoding="utf-8")
    with pytest.raises(BadData, match=r"the deadline of 1 h for rankings has passed: .*2 of 4 prompts"):
        asks(["rank.people.deadline_hours=1"])
    asks(["rank.people.deadline_hours=1", "rank.people.on_deadline=use"])
    assert find_run(record.run).row("rank")["metrics"]["prompts"] == 2
