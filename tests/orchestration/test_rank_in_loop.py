"""People rank on the page that the run itself had served, and the run goes on: at a worker, and in a terminal."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ranking_people import Person
from ranking_server import free_port
from service import ROOT, Service, processes_of, wait_until

from tasks.rank.page.links import is_served

pytestmark = pytest.mark.orchestration
PLUMBLINE = [sys.executable, "-c", "from flows.cli import main; main()"]
TESTS = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
LINK = re.compile(r"http://127\.0\.0\.1:\d+/[0-9a-f]+/in/[0-9a-f]+")


def rank_prompts(link: str, count: int, ranks: tuple[int, ...]) -> None:
    me = Person.by_link(link)
    for _ in range(count):
        assert me.send(me.look(), *ranks).status_code == 200


def plumbline(service: Service, *words: str) -> str:
    command, environment = [*PLUMBLINE, *words], service.environment
    return subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture
def pages(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, and beside it what serves the pages, as `plumbline up` keeps both."""
    service.deploy("asks", "tests/asking.py:asks")
    service.start_worker(PYTHONPATH=TESTS)
    with (service.folder / "pages.log").open("wb") as log:
        process = subprocess.Popen(
            [*PLUMBLINE, "rank", "--all"], cwd=ROOT, env=service.environment, stdout=log, stderr=log
        )
    yield process
    process.kill()
    process.wait()
    service.stop_worker()


def test_a_suspended_run_is_ranked_on_its_page_and_a_worker_goes_on(
    service: Service, pages: subprocess.Popen[bytes]
) -> None:
    port = free_port()
    changes = [f"rank.people.page.port={port}", "rank.people.overlap=2"]
    run = service.start_run("asks", {"changes": changes})
    service.wait_for(run, "Suspended", seconds=300)
    said = wait_until(
        lambda: service.client.filter_flow_run_input(run, "suspended-rankings-1-description", 1, set()), 60, "the form"
    )
    links = LINK.findall(str(said[0].value))
    assert len(links) == 2, "the Resume dialog holds a link for each annotator"
    record = service.record(run)
    assert record is not None
    desk = Path(record["waiting"]["file"]).parent
    wait_until(lambda: is_served(desk, port), 60, "the page")
    assert set(LINK.findall(plumbline(service, "status", record["run"]))) == set(links)
    for link in links:
        rank_prompts(link, 4, (1, 2, 2))
    service.wait_for(run, "Completed", seconds=240)
    wait_until(lambda: not is_served(desk, port), 60, "the end of the page")

    for path in desk.iterdir():  # the toy has the same candidates every time
        path.unlink()
    cancelled = service.start_run("asks", {"changes": changes})
    service.wait_for(cancelled, "Suspended", seconds=240)
    wait_until(lambda: is_served(desk, port), 90, "the page of the second run")
    assert "cancelled after" in plumbline(service, "cancel")
    wait_until(lambda: not is_served(desk, port), 60, "the end of the cancelled run's page")
    pages.send_signal(signal.SIGTERM)
    assert pages.wait(timeout=60) == 0


def test_a_run_in_a_terminal_serves_its_page_and_goes_on_in_place(tmp_path: Path) -> None:
    port, home = free_port(), tmp_path / "home"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PLUMBLINE_"))}
    environment = inherited | {"PREFECT_HOME": str(tmp_path / "prefect"), "PLUMBLINE_HOME": str(home)}
    settings = ["rank.ranker=people", "rank.people.target=3", f"rank.people.page.port={port}"]
    command = [*PLUMBLINE, "run", "nano", *(word for change in settings for word in ("--set", change))]

    def begin(number: int) -> tuple[subprocess.Popen[bytes], Path, str]:
        log = tmp_path / f"{number}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=sink, stderr=sink, start_new_session=True
            )

        def link() -> str | None:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            found = LINK.search(log.read_text(encoding="utf-8"))
            return found and found[0]

        return process, log, wait_until(link, 400, "the link")

    process, log, link = begin(1)
    rank_prompts(link, 1, (2, 1, 3, 3))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert "ended; everything that was saved is kept" in log.read_text(encoding="utf-8")
    assert '"state": "Waiting"' in next((home / "runs").glob("*.json")).read_text(encoding="utf-8")

    process, log, again = begin(2)
    assert again == link
    rank_prompts(link, 2, (2, 1, 3, 3))
    assert process.wait(timeout=400) == 0, log.read_text(encoding="utf-8")
    assert "3 ranked prompts accepted" in log.read_text(encoding="utf-8")
    (record,) = (home / "runs").glob("*.json")
    assert '"state": "Completed"' in record.read_text(encoding="utf-8")
    limit = time.monotonic() + 10
    while processes_of(home) and time.monotonic() < limit:
        time.sleep(0.2)
    assert not processes_of(home), "nothing of the run is left"
