"""What serves the pages of runs that a worker goes on with: a real process, and no server that could be told."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from asking import PEOPLE
from asking_stage import ToyConfig, candidates
from ranking_people import Person
from ranking_server import free_port

from configs.recipe import load_recipe
from configs.schema import STAGES
from flows.rank_page import open_page, serve
from flows.status import ranking_page
from tasks.rank.desk import Desk, open_desk
from tasks.rank.page.house import House
from tasks.run import Run, end_record, find_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def desk(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk of a run that its worker has suspended."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    config = load_recipe("nano", [*PEOPLE, f"rank.people.page.port={free_port()}", "rank.people.overlap=2"])
    run = Run.begin(config, STAGES, flow_run=str(uuid4()))
    sampled, _ = candidates.execute(run, ToyConfig(), {})
    desk = open_desk(run.store, sampled, config.rank.people)
    desk.give_out()
    waiting = {"file": str(desk.sheet), "by": "worker", "candidates": sampled.model_dump(mode="json")}
    run.wait("rank", waiting)
    return desk


def until(met: Callable[[], object], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_the_page_of_a_suspended_run_is_served_and_nothing_is_lost_without_a_server(desk: Desk, tmp_path: Path) -> None:
    record, log = find_run(None), tmp_path / "pages.log"
    assert ranking_page(record) is None, "nobody serves it yet"
    nowhere = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    command = [sys.executable, "-c", "from flows.cli import main; main(['rank', '--all'])"]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **nowhere}, stdout=sink, stderr=sink)
    try:
        until(lambda: ranking_page(record))
        links = ranking_page(record) or {}
        assert list(links) == ["annotator-1", "annotator-2"]
        for link in links.values():
            me = Person.by_link(link)
            for _ in range(4):
                assert me.send(me.look(), 1, 2, 2).status_code == 200
        until(lambda: "tried again in 30 s" in log.read_text(encoding="utf-8"))
        assert len(desk.accepted.read_text(encoding="utf-8").splitlines()) == 8
        assert json.loads(record.path.read_text(encoding="utf-8"))["state"] == "Waiting"
        until(lambda: ranking_page(record) is None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()


def test_the_page_closes_when_its_run_is_cancelled(desk: Desk) -> None:
    opened = open_page(find_run(None), [], None, None)

    async def visit() -> Path | None:
        served = asyncio.create_task(serve(opened, House(opened.port)))
        while await asyncio.to_thread(ranking_page, opened.record) is None:
            await asyncio.sleep(0.1)
        end_record(find_run(None), "Cancelled")
        return await served

    assert asyncio.run(visit()) is None
    assert find_run(None).row("rank")["state"] == "Cancelled"
