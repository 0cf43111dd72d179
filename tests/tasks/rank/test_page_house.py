"""Pages of several desks behind one port, each with its own people, and the port free after the last."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from ranking_people import Person
from ranking_server import free_port, make_page
from ranking_sheet import MakeSheet

from tasks.failures import BadConfig
from tasks.rank.page.app import Page
from tasks.rank.page.book import Book
from tasks.rank.page.house import House, bind
from tasks.rank.page.tables import open_engine
from tasks.rank.page.work import read_items

DESKS = ("0" * 16, "f" * 16)


def rank_first(port: int, desk: str, page: Page) -> None:
    me = Person.by_link(f"http://127.0.0.1:{port}/{desk}/in/{page.tokens.login('ann')}")
    assert me.send(me.look(), 3, 1, 2).json() == {"saved": True, "new": True, "next": f"/{desk}/"}
    assert me.send(me.look(), 3, 1, 2, headers={}).headers["location"] == f"/{desk}/", "without the script"
    text = me.client.get("/").text
    for address in (f'action="/{desk}/submit"', f'src="/{desk}/static/page.js"', f'href="/{desk}/?item='):
        assert address in text
    assert me.client.get("/static/page.js").headers.get("cache-control") is None
    other = next(name for name in DESKS if name != desk)
    assert me.client.get(f"http://127.0.0.1:{port}/{other}/").status_code == 401, "a link is good for one desk"


def test_two_desks_share_a_port_and_leave_it_free(tmp_path: Path, make_sheet: MakeSheet) -> None:
    sheet, port = make_sheet(), free_port()
    pages = {}
    for desk in DESKS:  # in one database, as with Postgres
        page = make_page(sheet, port, ["ann"])
        book = Book(open_engine("", tmp_path / "all.sqlite"), desk, read_items(sheet))
        pages[desk] = replace(page, book=book)

    async def visit() -> None:
        house = House(port)
        for page in pages.values():
            await house.admit(page)
        for desk, page in pages.items():
            await asyncio.to_thread(rank_first, port, desk, page)
        with pytest.raises(BadConfig, match=f"port {port} of 127.0.0.1 is taken"):
            await House(port).admit(make_page(sheet, port, ["ann"]))
        rows = [json.loads(line) for desk in DESKS for line in await pages[desk].book.rankings()]
        assert len(rows) == 4
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert [(await client.get(path)).status_code for path in ("/", "/nothing/")] == [404] * 2
            await house.dismiss(pages[DESKS[0]])
            assert (await client.get(f"/{DESKS[0]}/healthy")).status_code == 404
            assert (await client.get(f"/{DESKS[1]}/healthy")).status_code == 200
        await house.dismiss(pages[DESKS[1]])

    asyncio.run(visit())
    bind(port).close()
