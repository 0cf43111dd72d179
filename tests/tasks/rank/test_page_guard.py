"""Who may do what on the ranking page, and that an answer's HTML is only ever text."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ranking_people import Person
from ranking_server import make_page
from ranking_sheet import MakeSheet
from starlette.testclient import TestClient

from tasks.rank.page.app import Page, letter
from tasks.rank.page.tokens import Tokens, read_secret
from tasks.rank.page.words import WORDS, pick

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def page(make_sheet: MakeSheet) -> Page:
    sheet = make_sheet()
    row = {"prompt": SCRIPT, "candidates": [SCRIPT, '"><b>'], "ranks": []}
    sheet.write_text(json.dumps(row) + "\n" + sheet.read_text(encoding="utf-8"), encoding="utf-8")
    return make_page(sheet, 0, ["ann", "<bo>"])


@pytest.fixture
def client(page: Page) -> Iterator[TestClient]:
    with TestClient(page.app()) as client:
        client.portal.call(page.book.open)
        yield client
        client.portal.call(page.book.close)


def test_without_a_link_nobody_comes_in(client: TestClient, page: Page) -> None:
    assert client.get("/").status_code == 401
    assert client.get("/in/" + "0" * 40).status_code == 403
    assert client.get("/in/é").status_code == 403
    assert client.post("/submit", data={"item": "x"}).status_code == 401
    answer = client.get(f"/in/{page.tokens.login('ann')}")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/").status_code == 200


def test_a_form_of_another_page_is_refused(client: TestClient, page: Page) -> None:
    ann = Person(client).enter(page.tokens.login("ann"))
    form = ann.look()
    assert ann.send({**form, "csrf": page.tokens.form("<bo>")}, 1, 2).status_code == 403
    assert ann.send({**form, "csrf": ""}, 1, 2).status_code == 403
    foreign = {"Accept": "application/json", "Origin": "http://evil.example"}
    assert ann.send(form, 1, 2, headers=foreign).status_code == 403
    assert ann.send(form, 1, 2, headers={}).url.path == "/", "without the script, a form and a redirect"
    assert client.post("/submit", content=b"x" * 70_000).status_code == 413


def test_one_key_serves_one_annotator(client: TestClient, page: Page) -> None:
    ann = Person(client).enter(page.tokens.login("ann"))
    form = ann.look()
    assert ann.send(form, 1, 2).status_code == 200
    bo = ann.enter(page.tokens.login("<bo>"))
    assert bo.send({**form, "csrf": page.tokens.form("<bo>")}, 1, 2).status_code == 409


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "", "testserver.evil.example"])
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 400
    assert client.get("/static/page.js", headers={"Host": host}).status_code == 400


def test_what_models_and_people_write_is_text(client: TestClient, page: Page) -> None:
    assert "&lt;bo&gt;" in client.get(f"/in/{page.tokens.login('<bo>')}").text
    answer = client.get("/")
    assert "<script>alert" not in answer.text
    assert "<img" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert answer.headers["cache-control"] == "no-store"


def test_the_secret_is_its_owners_and_stays(tmp_path: Path) -> None:
    secret = read_secret(tmp_path)
    assert secret == read_secret(tmp_path)
    assert (tmp_path / "page.secret").stat().st_mode & 0o777 == 0o600
    tokens = Tokens(secret, ["ann", "bo"])
    assert tokens.who(tokens.login("bo")) == "bo"
    assert tokens.who(tokens.form("bo")) is None
    assert Tokens(b"another", ["bo"]).login("bo") != tokens.login("bo")


def test_the_language_is_asked_for_chosen_or_accepted(client: TestClient, page: Page) -> None:
    link = f"/in/{page.tokens.login('ann')}"
    assert "Welcome" in client.get(link).text
    assert "欢迎" in client.get(link, headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}).text
    assert "欢迎" in client.get(f"{link}?lang=zh").text
    assert "提示" in client.get("/").text, "the choice is kept"
    assert pick("xx", None, "de, zh;q=0.5, en;q=0.1") == "zh"
    assert pick(None, None, "en;q=bad") == "en"
    assert all(set(words) == {"en", "zh"} and all(words.values()) for words in WORDS.values())
    assert [letter(place) for place in (0, 25, 26, 27)] == ["A", "Z", "AA", "AB"]
