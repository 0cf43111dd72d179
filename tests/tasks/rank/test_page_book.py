"""What the ranking page keeps: one of two equal submissions, everybody's own, in the order of the sheet."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ranking_people import Person, as_seen
from ranking_server import DESK, make_page
from ranking_sheet import MakeSheet
from starlette.testclient import TestClient

from tasks.candidate_rows import Candidates
from tasks.chat import user
from tasks.failures import BadConfig, BadData
from tasks.rank.page.tables import open_engine
from tasks.rank.page.work import Item, Standing, by_candidate, choose, complete, read_items
from tasks.rank.people import read_people


class House:
    """A page in this process, and its people."""

    def __init__(self, sheet: Path, names: list[str], overlap: int = 1, database: str = "") -> None:
        self.page = make_page(sheet, 0, names, overlap, database)
        self.client = TestClient(self.page.app())
        self.portal = self.client.__enter__().portal
        self.portal.call(self.page.book.open)

    def person(self, name: str) -> Person:
        client = TestClient(self.page.app())
        client.portal = self.portal
        return Person(client).enter(self.page.tokens.login(name))

    def rankings(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.portal.call(self.page.book.rankings)]

    def close(self) -> None:
        self.portal.call(self.page.book.close)
        self.client.__exit__(None, None, None)


@pytest.fixture
def house(make_sheet: MakeSheet):  # type: ignore[no-untyped-def]
    made: list[House] = []

    def make(*names: str, prompts: int = 3, **options: Any) -> House:
        made.append(House(make_sheet(prompts), list(names), **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_ranks_come_back_in_the_order_of_the_sheet(house) -> None:  # type: ignore[no-untyped-def]
    home = house("ann")
    ann = home.person("ann")
    seen = ann.order()
    assert ann.order() == seen, "the order stays"
    ann.send(ann.look(), 1, 2, 2, comment="two alike", helpful_0="5")
    (row,) = home.rankings()
    by_text = dict(zip(row["candidates"], row["ranks"], strict=True))
    assert [by_text[text] for text in seen] == [1, 2, 2]
    assert as_seen(row, row["candidates"]) == seen
    assert (row["annotator"], row["comment"], row["all_bad"]) == ("ann", "two alike", False)
    assert row["axes"]["helpful"][row["shown"].index(0)] == 5


def test_a_double_submit_is_one_and_a_correction_replaces(house) -> None:  # type: ignore[no-untyped-def]
    home = house("ann")
    ann = home.person("ann")
    form = ann.look()
    assert [ann.send(form, 1, 2, 3).json()["new"] for _ in range(3)] == [True, False, False]
    assert len(home.rankings()) == 1
    again = ann.look(f"/?item={form['item']}")
    assert again["key"] != form["key"]
    ann.send(again, 3, 2, 1)
    (row,) = home.rankings()
    assert as_seen(row, row["ranks"]) == [3, 2, 1]


def test_all_bad_is_a_tie_and_skip_is_nothing(house) -> None:  # type: ignore[no-untyped-def]
    home = house("ann", prompts=2)
    ann = home.person("ann")
    ann.send(ann.look(), verdict="bad")
    skipped = ann.look()
    ann.send(skipped, verdict="skip")
    (row,) = home.rankings()
    assert (row["ranks"], row["all_bad"]) == ([1, 1, 1], True)
    done = ann.client.get("/").text
    assert "Nothing is left for you" in done
    assert f"/?item={skipped['item']}" in done, "what was skipped can be ranked after all"
    ann.send(ann.look(f"/?item={skipped['item']}"), 1, 1, 2)
    assert "All rankings are in" in ann.client.get("/").text


def test_two_annotators_get_the_same_prompts_in_orders_of_their_own(house) -> None:  # type: ignore[no-untyped-def]
    home = house("ann", "bo", prompts=6, overlap=2)
    orders = {}
    for name in ("ann", "bo"):
        person = home.person(name)
        orders[name] = []
        while form := person.look():
            orders[name].append((form["item"], tuple(person.order())))
            assert person.send(form, 1, 2, 3).status_code == 200
    assert [item for item, _ in orders["ann"]] == [item for item, _ in orders["bo"]]
    assert orders["ann"] != orders["bo"]
    rows = home.rankings()
    assert Counter(row["annotator"] for row in rows) == {"ann": 6, "bo": 6}
    file = home.page.book.engine.url.database.replace("page.sqlite", "page.jsonl")
    Path(file).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = [Candidates(item.prompt, item.candidates, 0) for item in home.page.book.sheet.values()]
    read = [ranking for item in read_people(Path(file), given) for ranking in item.rankings]
    assert [(one.annotator, one.shown) for one in read] == [(row["annotator"], row["shown"]) for row in rows]


def test_what_is_missing_or_wrong_is_refused(house) -> None:  # type: ignore[no-untyped-def]
    home = house("ann")
    ann = home.person("ann")
    form = ann.look()
    answer = ann.send(form, 1, 2)
    assert (answer.status_code, answer.json()["error"]) == (422, "Give every answer a rank first; missing: C")
    for wrong in ({"rank_2": "4"}, {"rank_2": "²"}, {"verdict": "best"}, {"key": "x"}, {"comment": "x" * 4001}):
        assert ann.send(form, 1, 2, **{"rank_2": "3", **wrong}).status_code == 422, wrong
    assert ann.send({**form, "item": "nothing"}, 1, 2, 3).status_code == 404
    assert home.rankings() == []


def test_a_sheet_that_changed_is_refused(house, make_sheet: MakeSheet) -> None:  # type: ignore[no-untyped-def]
    home = house("ann")
    other = make_page(make_sheet(4), 0, ["ann"])
    with pytest.raises(BadData, match=r"the sheet has changed since people began to rank: 0 prompts are gone .*1 are"):
        home.portal.call(other.book.open)
    home.portal.call(other.book.close)


def test_a_database_that_is_none_is_refused_without_its_password(tmp_path: Path) -> None:
    import asyncio

    from tasks.rank.page.tables import create_tables

    with pytest.raises(BadConfig, match="PLUMBLINE_RANK_DATABASE is no database URL"):
        open_engine("nonsense", tmp_path)
    with pytest.raises(BadConfig, match="names a mysql database"):
        open_engine("mysql://a/b", tmp_path)
    engine = open_engine("postgresql://me:hidden@127.0.0.1:9/none", tmp_path)
    with pytest.raises(BadConfig, match=r"me:\*\*\*@127.0.0.1:9") as problem:
        asyncio.run(create_tables(engine))
    assert "hidden" not in str(problem.value)


def test_who_is_given_what() -> None:
    sheet = {name: Item(user(name), ["x", "y"]) for name in "abc"}

    def next_one(done: dict[str, int], held: dict[str, int], mine: str = "", overlap: int = 1) -> str | None:
        standing = Standing(Counter(done), Counter(held), frozenset(mine))
        return choose(sheet, standing, overlap, 3)

    assert next_one({}, {}) == "a"
    assert next_one({"a": 1}, {}) == "b"
    assert next_one({}, {"a": 1, "b": 1}) == "c", "others have those before them"
    assert next_one({}, {"a": 2, "b": 1, "c": 2}) == "b", "all are held: the least"
    assert next_one({"a": 1}, {}, mine="a", overlap=2) == "b"
    assert next_one({"a": 1, "b": 1}, {}, mine="abc") is None
    assert next_one({"a": 1, "b": 1, "c": 1}, {}) is None
    assert choose(sheet, Standing(Counter(), Counter(), frozenset(), frozenset("c")), 1, 3) == "c"
    assert by_candidate([2, 0, 1], [1, 2, 3]) == [2, 3, 1]


def test_a_prompt_that_was_sampled_twice_counts_once() -> None:
    """As the run counts: else the page would be closed with a prompt missing, and the run would wait for ever."""
    sheet = {"a": Item(user("q"), ["x", "y"]), "b": Item(user("q"), ["x", "z"]), "c": Item(user("other"), ["x", "y"])}
    done = Counter({"a": 1, "b": 1})
    assert complete(sheet, done, 1) == 1
    assert choose(sheet, Standing(done, Counter(), frozenset("ab")), 1, 2) == "c"
    assert choose(sheet, Standing(done + Counter("c"), Counter(), frozenset("ab")), 1, 2) is None


def test_a_sheet_without_rows_or_with_a_broken_one(tmp_path: Path, make_sheet: MakeSheet) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(BadData, match="nothing to rank"):
        read_items(empty)
    broken = make_sheet()
    broken.write_text('{"prompt": 1, "candidates": ["a", "b"]}\n', encoding="utf-8")
    with pytest.raises(BadData, match=r"candidates\.jsonl:1: "):
        read_items(broken)


def test_the_same_on_postgres(make_sheet: MakeSheet) -> None:
    from orchestration.postgres import postgres

    with postgres() as url:
        home = House(make_sheet(), ["ann"], 1, url.replace("+asyncpg", ""))
        try:
            ann = home.person("ann")
            form = ann.look()
            assert [ann.send(form, 2, 1, 3).json()["new"] for _ in range(2)] == [True, False]
            assert [row["annotator"] for row in home.rankings()] == ["ann"]
            assert DESK in ann.client.get("/healthy").text
        finally:
            home.close()
