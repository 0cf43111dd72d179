"""`plumbline rank`: a run that waits is ranked on a page and goes on by itself."""

import asyncio
import json
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from asking import asks, fill_in
from prefect.exceptions import Pause
from ranking_people import Person
from ranking_server import free_port, wait_until_it_answers

from configs.schema.rank import PeopleConfig
from flows import rank_page
from flows.rank_page import Opened, open_page, rank, serve
from tasks.failures import BadConfig, BadData
from tasks.rank.page.house import House
from tasks.rankings import Split, read_rankings
from tasks.run import RunRecord, find_run, open_store

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(autouse=True)
def child_sees_tests(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setattr(rank_page, "LINGER", 0.5)


def ask(*changes: str) -> RunRecord:
    with pytest.raises(Pause):
        asks(list(changes))
    return find_run(None)


def rank_all(opened: Opened, problems: list[BaseException]) -> None:
    try:
        wait_until_it_answers(opened.port, opened.desk.folder.name)
        for name, link in opened.links.items():
            me = Person.by_link(link)
            for _ in opened.page.book.sheet:  # no look after the last: the page closes when enough is in
                assert me.send(me.look(), 1, 2, 2, comment=f"by {name}", honest_0="4").status_code == 200
                time.sleep(0.2)
    except BaseException as problem:
        problems.append(problem)


def test_two_people_rank_on_the_page_and_the_run_goes_on() -> None:
    changes = ["rank.people.overlap=2"]
    record = ask(*changes)
    opened = open_page(record, ["ann", "bo"], free_port(), None)
    problems: list[BaseException] = []
    people = threading.Thread(target=rank_all, args=(opened, problems))
    people.start()
    file = asyncio.run(serve(opened, House(opened.port)))
    people.join(60)
    assert problems == []
    assert file == opened.desk.accepted
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(row["annotator"] for row in rows) == ["ann"] * 4 + ["bo"] * 4
    artifact = asks(changes).result()
    done = find_run(record.run)
    assert done.state == "Completed"
    assert done.row("rank")["metrics"]["prompts"] == 4
    folder = open_store().open(artifact)
    splits: tuple[Split, ...] = ("train", "heldout")
    items = [item for split in splits for item in read_rankings(folder, split)]
    assert [len(item.rankings) for item in items] == [2] * 4, "one row a prompt, both annotators in it"
    for ranking in (ranking for item in items for ranking in item.rankings):
        best = ranking.shown.index(0)
        assert (ranking.origin, ranking.ranks[best], ranking.axes["honest"][best]) == ("people", 1, 4)
        assert (ranking.comment, ranking.all_bad) == (f"by {ranking.annotator}", False)
        assert ranking.seconds is not None
    with pytest.raises(BadConfig, match="is Completed and waits for nothing"):
        rank(record.run, [], free_port(), None)


def test_the_deadline_passes_while_the_page_of_a_terminal_is_served() -> None:
    record = ask("rank.people.deadline_hours=1", "rank.people.on_deadline=use")
    opened = open_page(record, ["ann"], free_port(), None)
    fill_in(opened.desk.sheet, count=2)
    (opened.desk.folder / "asked.json").write_text('{"time": 0}', encoding="utf-8")
    assert asyncio.run(serve(opened, House(opened.port))) == opened.desk.accepted
    assert len(opened.desk.read(opened.desk.accepted)) == 2
    failing = replace(opened, desk=replace(opened.desk, asked=PeopleConfig(deadline_hours=1)))
    with pytest.raises(BadData, match=r"the deadline of 1 h for rankings has passed: .*2 of 4 prompts"):
        asyncio.run(serve(failing, House(opened.port)))
    assert find_run(record.run).state == "Failed"


def test_what_is_wrong_is_said() -> None:
    record = ask("rank.people.overlap=2")
    with pytest.raises(BadConfig, match="no such run"):
        rank("nobody", ["a", "b"], free_port(), None)
    with pytest.raises(BadConfig, match=r"rank\.people\.overlap=2, but 1 annotators .* --annotator NAME"):
        open_page(record, ["ann"], free_port(), None)
    with pytest.raises(BadConfig, match="--url 'rank': an address"):
        open_page(record, ["a", "b"], free_port(), "rank")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadConfig, match=r"port \d+ of 127.0.0.1 is taken .* --port"):
            rank(record.run, ["a", "b"], taken.getsockname()[1], None)
    Path(record.waiting["file"]).write_text("", encoding="utf-8")
    with pytest.raises(BadData, match="nothing to rank"):
        open_page(record, ["a", "b"], free_port(), None)


def test_the_settings_name_the_annotators() -> None:
    page = PeopleConfig.model_validate({"overlap": 2, "page": {"annotators": ["ann", "bo"]}})
    assert page.who == ["ann", "bo"]
    assert PeopleConfig(overlap=2).who == ["annotator-1", "annotator-2"]
    with pytest.raises(ValueError, match=r"overlap=3, but page\.annotators names 2"):
        PeopleConfig.model_validate({"overlap": 3, "page": {"annotators": ["ann", "bo"]}})
    with pytest.raises(ValueError, match="different names of 1 to 80 printable characters"):
        PeopleConfig.model_validate({"page": {"annotators": ["ann", "ann"]}})
