"""The book of the ranking page: what was shown and submitted, and the rankings that follow from it.

A submission is committed before ``submit`` returns. Nothing is ever changed or deleted: whoever ranks an item again
adds a submission, and the last one counts.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tasks.failures import BadData
from tasks.rank.page.tables import create_tables, items, shown, submissions
from tasks.rank.page.work import Item, Standing, places

HELD = 1800.0  # seconds for which an item that is shown to somebody is kept from others


class Taken(ValueError):
    """The key of a submission was used for something else."""


@dataclass(frozen=True)
class Submission:
    """What an annotator said of an item, in the order of the sheet. verdict: ranked, bad (all of them), or skip."""

    key: str
    item: str
    annotator: str
    verdict: str
    ranks: list[int]
    axes: dict[str, list[int | None]]
    comment: str
    time: float = 0.0


class Book:
    """The submissions of one desk."""

    def __init__(self, engine: AsyncEngine, desk: str, sheet: dict[str, Item], randomness: random.Random | None = None):
        self.engine, self.desk, self.sheet = engine, desk, sheet
        self.randomness = randomness or random.SystemRandom()
        self.turn = asyncio.Lock()  # one at a time asks what is next, so that two are not given the same

    async def open(self) -> None:
        """Create the tables, note what is ranked. Raises BadConfig without a database, BadData for another sheet."""
        await create_tables(self.engine)
        async with self.engine.begin() as connection:
            found = set(await connection.scalars(sa.select(items.c.item).where(items.c.desk == self.desk)))
            if not found:
                await connection.execute(items.insert(), [{"desk": self.desk, "item": item} for item in self.sheet])
        if found and found != set(self.sheet):
            gone, new = len(found - set(self.sheet)), len(set(self.sheet) - found)
            raise BadData(
                f"the sheet has changed since people began to rank: {gone} prompts are gone or altered, {new} are new; "
                "put the sheet back, or delete the folder's page.sqlite (or use another database) to begin again"
            )

    async def close(self) -> None:
        await self.engine.dispose()

    async def standing(self, annotator: str) -> Standing:
        """Who has done what, seen by one annotator."""
        async with self.engine.connect() as connection:
            latest = [row async for row in _latest(connection, self.desk)]
            since = time.time() - HELD
            rows = await connection.execute(sa.select(shown).where(shown.c.desk == self.desk))
            submitted = {(row.item, row.annotator) for row in latest}
            waiting = [row for row in rows if (row.item, row.annotator) not in submitted]
        return Standing(
            Counter(row.item for row in latest if row.verdict != "skip"),
            Counter(row.item for row in waiting if row.annotator != annotator and row.time > since),
            frozenset(row.item for row in latest if row.annotator == annotator),
            frozenset(row.item for row in waiting if row.annotator == annotator),
        )

    async def show(self, item: str, annotator: str) -> list[int]:
        """The order in which this annotator sees the candidates: drawn once, and kept."""
        where = (shown.c.desk == self.desk, shown.c.item == item, shown.c.annotator == annotator)
        ordering = list(range(len(self.sheet[item].candidates)))
        self.randomness.shuffle(ordering)
        row = {"desk": self.desk, "item": item, "annotator": annotator, "ordering": ordering, "time": time.time()}
        async with self.engine.connect() as connection:
            kept = (await connection.execute(sa.select(shown.c.ordering).where(*where))).scalar_one_or_none()
            if kept is not None:
                return list(kept)
            try:
                await connection.execute(shown.insert(), row)
                await connection.commit()
            except IntegrityError:  # another page of the same annotator was faster
                await connection.rollback()
                ordering = (await connection.execute(sa.select(shown.c.ordering).where(*where))).scalar_one()
        return list(ordering)

    async def submit(self, submission: Submission) -> bool:
        """Keep a submission; on the disk when this returns. False: it was there already. Raises Taken."""
        row = {**submission.__dict__, "desk": self.desk, "time": time.time()}
        same = (submissions.c.desk == self.desk, submissions.c.key == submission.key)
        try:
            async with self.engine.begin() as connection:
                await connection.execute(submissions.insert(), row)
            return True
        except IntegrityError:
            async with self.engine.connect() as connection:
                kept = (await connection.execute(sa.select(submissions).where(*same))).one()
        if (kept.annotator, kept.item) != (submission.annotator, submission.item):
            raise Taken("this key belongs to another submission")
        return False

    async def history(self, annotator: str) -> dict[str, Submission]:
        """What counts of an annotator's submissions, by item, the oldest first."""
        async with self.engine.connect() as connection:
            rows = [row async for row in _latest(connection, self.desk) if row.annotator == annotator]
        return {row.item: _submission(row) for row in rows}

    async def done(self) -> Counter[str]:
        """Rankings an item."""
        async with self.engine.connect() as connection:
            return Counter([row.item async for row in _latest(connection, self.desk) if row.verdict != "skip"])

    async def rankings(self) -> list[str]:
        """JSON lines of the own schema, one an item and annotator, with what else is known; skipped ones are left out.

        shown: the place on the page, from 0, of each candidate; seconds from the first sight to the submission.
        """
        async with self.engine.connect() as connection:
            latest = [row async for row in _latest(connection, self.desk) if row.verdict != "skip"]
            rows = await connection.execute(sa.select(shown).where(shown.c.desk == self.desk))
            seen = {(row.item, row.annotator): row for row in rows}
        place = {item: number for number, item in enumerate(self.sheet)}
        latest.sort(key=lambda row: (place[row.item], row.number))
        return list(self._lines(latest, seen))

    def _lines(self, latest: list[sa.Row[Any]], seen: dict[tuple[str, str], sa.Row[Any]]) -> Iterator[str]:
        for row in latest:
            item, first = self.sheet[row.item], seen.get((row.item, row.annotator))
            line = {
                "prompt": item.prompt,
                "candidates": item.candidates,
                "ranks": row.ranks,
                "annotator": row.annotator,
                "shown": places(first.ordering) if first else [],
                "all_bad": row.verdict == "bad",
                "axes": row.axes,
                "comment": row.comment,
                "seconds": round(row.time - first.time, 1) if first else None,
                "time": row.time,
            }
            yield json.dumps(line, ensure_ascii=False) + "\n"


async def _latest(connection: AsyncConnection, desk: str):  # type: ignore[no-untyped-def]
    """The last submission of every annotator for every item, oldest first."""
    last = (
        sa.select(sa.func.max(submissions.c.number))
        .where(submissions.c.desk == desk)
        .group_by(submissions.c.item, submissions.c.annotator)
    )
    query = sa.select(submissions).where(submissions.c.number.in_(last)).order_by(submissions.c.number)
    for row in await connection.execute(query):
        yield row


def _submission(row: sa.Row[Any]) -> Submission:
    return Submission(row.key, row.item, row.annotator, row.verdict, row.ranks, row.axes, row.comment, row.time)
