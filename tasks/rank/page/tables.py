"""Tables and engine of the ranking page: SQLite in a file, or Postgres by URL."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tasks.failures import BadConfig

VARIABLE = "PLUMBLINE_RANK_DATABASE"
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
tables = sa.MetaData()

# What is ranked. One database may serve many desks; an item's id is a hash of its prompt and candidates.
items = sa.Table(
    "rank_items",
    tables,
    sa.Column("desk", sa.String(16), primary_key=True),
    sa.Column("item", sa.String(16), primary_key=True),
)
# In which order an annotator saw the candidates, and when first: ordering[p] is the candidate at position p.
shown = sa.Table(
    "rank_shown",
    tables,
    sa.Column("desk", sa.String(16), primary_key=True),
    sa.Column("item", sa.String(16), primary_key=True),
    sa.Column("annotator", sa.String(80), primary_key=True),
    sa.Column("ordering", sa.JSON, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
)
# Every submission ever acknowledged, in order; the last of an annotator for an item counts. key: one a page shown.
submissions = sa.Table(
    "rank_submissions",
    tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("desk", sa.String(16), nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("item", sa.String(16), nullable=False),
    sa.Column("annotator", sa.String(80), nullable=False),
    sa.Column("verdict", sa.String(8), nullable=False),
    sa.Column("ranks", sa.JSON, nullable=False),
    sa.Column("axes", sa.JSON, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.UniqueConstraint("desk", "key"),
    sa.Index("rank_submissions_latest", "desk", "item", "annotator", "number"),
)


def open_engine(address: str, file: Path) -> AsyncEngine:
    """The engine of a URL; of a SQLite file when the URL is empty. Raises BadConfig for a URL that is none."""
    try:
        url = sa.make_url(address) if address else sa.URL.create("sqlite", database=str(file))
    except ArgumentError:
        raise BadConfig(f"{VARIABLE} is no database URL; like postgresql://user:password@host/name") from None
    kind = url.get_backend_name()
    if kind not in DRIVERS:
        raise BadConfig(f"{VARIABLE} names a {kind} database; known are {', '.join(sorted(set(DRIVERS)))}")
    engine = create_async_engine(url.set(drivername=DRIVERS[kind]), pool_pre_ping=True, pool_size=4, max_overflow=4)
    if kind == "sqlite":
        event.listen(engine.sync_engine, "connect", _durable)
    return engine


def _durable(connection, _record) -> None:  # type: ignore[no-untyped-def]
    """A commit is on the disk before it returns, and readers never wait for a writer."""
    cursor = connection.cursor()
    for setting in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


async def create_tables(engine: AsyncEngine) -> None:
    """Create what is missing. Raises BadConfig, without the password, when the database cannot be used."""
    try:
        async with engine.begin() as connection:
            await connection.run_sync(tables.create_all)
    except (SQLAlchemyError, OSError) as error:
        where = engine.url.render_as_string(hide_password=True)
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise BadConfig(
            f"the database of the ranking page cannot be used: {where} ({reason}); start it, or change {VARIABLE}"
        ) from None
