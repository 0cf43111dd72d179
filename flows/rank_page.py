"""`plumbline rank`: the ranking page of a run that waits, until enough rankings are in; then the run goes on."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from configs.schema.rank import PageConfig
from flows.resume import desk_of, go_on, waiting_run, waits
from tasks.failures import BadConfig, BadData
from tasks.rank.desk import Desk, note_page
from tasks.rank.page.app import Page
from tasks.rank.page.book import Book
from tasks.rank.page.house import HOST, House
from tasks.rank.page.links import page_address, page_links
from tasks.rank.page.tables import VARIABLE, open_engine
from tasks.rank.page.tokens import Tokens, read_secret
from tasks.rank.page.work import read_items
from tasks.run import RunRecord, end_record

LOOK = 0.5  # seconds between looks at what came in
ASK = 10.0  # seconds between looks at what the run's server says of it
LINGER = 15.0  # seconds for which the page still says thank you


@dataclass
class Opened:
    """What is served: the page of a run, its desk and its address."""

    record: RunRecord
    desk: Desk
    page: Page
    port: int
    address: str

    @property
    def by_worker(self) -> bool:
        return bool(self.record.waiting["by"] == "worker")

    @property
    def links(self) -> dict[str, str]:
        return page_links(self.desk.folder, self.page.tokens.annotators, self.address)


def rank(name: str | None, annotators: Sequence[str], port: int | None, address: str | None) -> None:
    """Serve the page until the target is reached, the run goes on for another reason, or Ctrl-C.

    Raises BadConfig for a run that does not wait, a port that is taken, a database that cannot be used; BadData for a
    sheet that cannot be read or has changed since people began, or when the deadline passes and the policy is to fail.
    """
    opened = open_page(waiting_run(name), annotators, port, address)
    file = until_enough(opened)
    if file is not None and not opened.by_worker:
        go_on(opened.record, opened.desk, file)


def until_enough(opened: Opened) -> Path | None:
    """The accepted rankings; None when the run no longer waits, or after Ctrl-C, which leaves it waiting."""
    try:
        return asyncio.run(serve(opened, House(opened.port)))
    except KeyboardInterrupt:
        print(f"\nended; everything that was saved is kept\nnext: plumbline rank {opened.record.run}", flush=True)
        return None


def open_page(record: RunRecord, annotators: Sequence[str], port: int | None, address: str | None) -> Opened:
    """Everything that is needed to serve; nothing listens yet. What is not given is as the run's settings say.

    Raises as ``rank`` does.
    """
    desk = desk_of(record)
    asked = desk.asked.model_copy(update={"page": _named(desk.asked.page, annotators)})
    if len(asked.who) < asked.overlap:
        raise BadConfig(
            f"rank.people.overlap={asked.overlap}, but {len(asked.who)} annotators are named: "
            "give --annotator NAME once for each"
        )
    port = port or asked.page.port
    address = (address or page_address(port)).rstrip("/")
    public = urlsplit(address)
    if public.scheme not in ("http", "https") or not public.netloc or public.path:
        raise BadConfig(f"--url {address!r}: an address like https://rank.example.org, without a path")
    desk.give_out()
    hosts = frozenset({f"{HOST}:{port}", f"localhost:{port}", public.netloc.lower()})
    engine = open_engine(os.environ.get(VARIABLE, ""), desk.folder / "page.sqlite")
    book = Book(engine, desk.folder.name, read_items(desk.sheet))
    tokens = Tokens(read_secret(desk.folder), asked.who)
    page = Page(book, tokens, hosts, asked.overlap, desk.target, public.scheme == "https")
    return Opened(record, desk, page, port, address)


def _named(page: PageConfig, annotators: Sequence[str]) -> PageConfig:
    names = list(dict.fromkeys(name.strip() for name in annotators))
    try:
        return PageConfig.model_validate(page.model_dump() | ({"annotators": names} if names else {}))
    except ValueError as error:
        raise BadConfig(f"--annotator: {error}") from None


def _greeting(opened: Opened) -> str:
    page, desk = opened.page, opened.desk
    width = max(len(name) for name in page.tokens.annotators)
    return "\n".join(
        [
            f"{opened.record.run}: {desk.progress()}",
            "",
            "One link an annotator; who has the link is the annotator:",
            *(f"  {name:{width}}  {link}" for name, link in opened.links.items()),
            "",
            f"kept in     {page.book.engine.url.render_as_string(hide_password=True)}",
            "The run goes on by itself when enough is in. Ctrl-C ends the page; nothing that was saved is lost.",
        ]
    )


async def serve(opened: Opened, house: House) -> Path | None:
    """Serve one page and watch what comes in; the accepted rankings, or None when the run no longer waits.

    A run of a worker is told to go on before the page says thank you and closes; for one of a terminal the caller does.
    """
    await house.admit(opened.page)
    try:
        print(_greeting(opened), flush=True)
        file = await _watch(opened)
        if file is not None:
            print(f"{opened.record.run}: enough rankings are in; its page closes in {LINGER:g} s", flush=True)
            if opened.by_worker:
                await asyncio.to_thread(go_on, opened.record, opened.desk, file)
            await asyncio.sleep(LINGER)
        else:
            print(f"{opened.record.run} no longer waits; its page closes", flush=True)
        return file
    finally:
        await house.dismiss(opened.page)


async def _watch(opened: Opened) -> Path | None:
    """Write down what comes in, until it is enough (the accepted file), or the run no longer waits (None).

    Raises BadData at the deadline, when too few are in and the policy is to fail.
    """
    desk, seen, said, asked = opened.desk, "", "", time.monotonic()
    while True:
        lines = await _rankings(opened.page.book)
        try:
            if lines is not None and (text := "".join(lines)) != seen:
                count = await asyncio.to_thread(note_page, desk, lines)
                seen = text
                if count >= desk.target:
                    return desk.collect()
        except BadData as problem:  # the sheet, which somebody may be filling in at this moment
            if str(problem) != said:
                said = str(problem)
                print(f"{time.strftime('%H:%M:%S')} {said}", flush=True)
        if desk.late and not opened.by_worker:  # a worker's run has an automation that resumes it
            return await asyncio.to_thread(_at_the_deadline, opened)
        due = time.monotonic() - asked > ASK
        asked = time.monotonic() if due else asked
        if not await asyncio.to_thread(waits, opened.record, ask_server=due):
            return None
        await asyncio.sleep(LOOK)


def _at_the_deadline(opened: Opened) -> Path | None:
    """What is in, accepted, if the policy is to use it; else the run has failed. Raises BadData."""
    try:
        return opened.desk.ready()
    except BadData:
        end_record(opened.record, "Failed")
        raise


async def _rankings(book: Book) -> list[str] | None:
    """None while the database does not answer: submissions are refused meanwhile, and browsers try again."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return await book.rankings()
    except (SQLAlchemyError, OSError) as error:
        print(f"{time.strftime('%H:%M:%S')} the database does not answer: {type(error).__name__}", flush=True)
        await asyncio.sleep(5)
        return None
