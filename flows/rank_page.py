"""`plumbline rank`: the ranking page of a run that waits, until enough rankings are in; then the run goes on."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flows.resume import desk_of, go_on, waiting_run
from flows.up import HOST, check_port
from tasks.failures import BadConfig
from tasks.rank.desk import Desk, note_page
from tasks.rank.page.app import Page
from tasks.rank.page.book import Book
from tasks.rank.page.links import page_address
from tasks.rank.page.tables import VARIABLE, open_engine
from tasks.rank.page.tokens import Tokens, read_secret
from tasks.rank.page.work import read_items
from tasks.run import RunRecord, load_record

LOOK = 0.5  # seconds between looks at what came in
LINGER = 15.0  # seconds for which the page still says thank you
LONGEST = 80  # characters of a name


@dataclass
class Opened:
    """What is served: the page of a run, its desk and its address."""

    record: RunRecord
    desk: Desk
    page: Page
    port: int
    address: str


def rank(name: str | None, annotators: Sequence[str], port: int, address: str | None) -> None:
    """Serve the page until the target is reached, the run goes on for another reason, or Ctrl-C.

    Raises BadConfig for a run that does not wait, a port that is taken, a database that cannot be used; BadData for a
    sheet that cannot be read or has changed since people began.
    """
    opened = open_page(name, annotators, port, address)
    print(_greeting(opened), flush=True)
    try:
        file = asyncio.run(_serve(opened))
    except KeyboardInterrupt:
        file = None
        print(f"\nended; everything that was saved is kept\nnext: plumbline rank {opened.record.run}", flush=True)
    if file is not None:
        go_on(opened.record, opened.desk, file)


def open_page(name: str | None, annotators: Sequence[str], port: int, address: str | None) -> Opened:
    """Everything that is needed to serve; nothing listens yet. Raises as ``rank`` does."""
    record = waiting_run(name)
    desk = desk_of(record)
    check_port(port)
    names = _names(annotators)
    if len(names) < desk.asked.overlap:
        raise BadConfig(
            f"rank.people.overlap={desk.asked.overlap}, but {len(names)} annotators are named: "
            "give --annotator NAME once for each"
        )
    desk.give_out()
    address = (address or page_address(port)).rstrip("/")
    public = urlsplit(address)
    if public.scheme not in ("http", "https") or not public.netloc or public.path:
        raise BadConfig(f"--url {address!r}: an address like https://rank.example.org, without a path")
    hosts = frozenset({f"{HOST}:{port}", f"localhost:{port}", public.netloc.lower()})
    engine = open_engine(os.environ.get(VARIABLE, ""), desk.folder / "page.sqlite")
    book = Book(engine, desk.folder.name, read_items(desk.sheet))
    tokens = Tokens(read_secret(desk.folder), names)
    page = Page(book, tokens, hosts, desk.asked.overlap, desk.target, public.scheme == "https")
    return Opened(record, desk, page, port, address)


def _names(annotators: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in annotators)) or ["annotator-1"]
    for name in names:
        if not name or len(name) > LONGEST or not name.isprintable():
            raise BadConfig(f"--annotator {name!r}: a name of 1 to {LONGEST} printable characters")
    return names


def _greeting(opened: Opened) -> str:
    page, desk = opened.page, opened.desk
    width = max(len(name) for name in page.tokens.annotators)
    links = [f"  {name:{width}}  {opened.address}/in/{page.tokens.login(name)}" for name in page.tokens.annotators]
    return "\n".join(
        [
            f"{opened.record.run}: {desk.progress()}",
            "",
            "One link an annotator; who has the link is the annotator:",
            *links,
            "",
            f"kept in     {page.book.engine.url.render_as_string(hide_password=True)}",
            "The run goes on by itself when enough is in. Ctrl-C ends the page; nothing that was saved is lost.",
        ]
    )


async def _serve(opened: Opened) -> Path | None:
    """Listen, and watch what comes in; the accepted rankings, or None when the run no longer waits."""
    import uvicorn

    book = opened.page.book
    await book.open()
    try:
        server = uvicorn.Server(
            uvicorn.Config(
                opened.page.app(), HOST, opened.port, log_level="warning", access_log=False, lifespan="off",
                server_header=False, timeout_graceful_shutdown=5,
            )
        )  # fmt: skip
        listening = asyncio.create_task(server.serve())
        watching = asyncio.create_task(_watch(opened))
        await asyncio.wait({listening, watching}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            watching.cancel()
            listening.result()
            return None
        if watching.exception() is None and watching.result() is not None:
            print(f"enough rankings are in; the page closes in {LINGER:g} s", flush=True)
            await asyncio.wait({listening}, timeout=LINGER)
        server.should_exit = True
        await listening
        return watching.result()
    finally:
        await book.close()


async def _watch(opened: Opened) -> Path | None:
    """Write down what comes in, until it is enough (the accepted file), or the run no longer waits (None)."""
    desk, seen = opened.desk, ""
    while True:
        lines = await _rankings(opened.page.book)
        if lines is not None and (text := "".join(lines)) != seen:
            seen = text
            if await asyncio.to_thread(note_page, desk, lines) >= desk.target:
                return desk.collect()
        if (state := load_record(opened.record.path).state) != "Waiting":
            print(f"{opened.record.run} is {state} and no longer waits; the page closes", flush=True)
            return None
        await asyncio.sleep(LOOK)


async def _rankings(book: Book) -> list[str] | None:
    """None while the database does not answer: submissions are refused meanwhile, and browsers try again."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return await book.rankings()
    except (SQLAlchemyError, OSError) as error:
        print(f"{time.strftime('%H:%M:%S')} the database does not answer: {type(error).__name__}", flush=True)
        await asyncio.sleep(5)
        return None
