"""The files of a source of rankings, row by row; what cannot be read is handed on with its line and reason."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.schema.sources import RankingSource
from tasks.formats import read_rows
from tasks.rank.layouts.item import Flaw, Item, Rejected, Row, Unpaired
from tasks.rank.layouts.table import LAYOUTS, detect
from tasks.rankings import RankedPrompt


def read_source(source: RankingSource, files: Iterable[Path]) -> Iterator[RankedPrompt | Unpaired | Rejected]:
    """Every ranked prompt, unpaired answer and rejected row of one source, in the order of files and lines.

    With ``format: auto`` the keys of the first sound row of a file decide. A layout whose rows belong together
    (AlpacaEval, unpaired answers) is held in memory file by file, any other is handed on row by row. Raises BadData
    when the keys fit no layout.
    """
    for file in files:
        yield from _read_file(source, file)


def _read_file(source: RankingSource, file: Path) -> Iterator[RankedPrompt | Unpaired | Rejected]:
    layout = LAYOUTS[source.format] if source.format != "auto" else None
    origin = source.name or file.name
    held: list[RankedPrompt | Unpaired] = []
    for line, row, error in read_rows(file, "auto"):
        if row is None:
            yield Rejected(file.name, line, error)
            continue
        named = rename(row, source.fields)
        layout = layout or LAYOUTS[detect(named, f"{file.name}:{line}")]
        for item in _items(layout.read(named, origin)):
            if isinstance(item, Flaw):
                yield Rejected(file.name, line, item.error)
            elif layout.gather is not None:
                held.append(item)
            else:
                yield _named(item, source.name, origin)
    if layout is not None and layout.gather is not None:
        yield from (_named(item, source.name, origin) for item in layout.gather(held))


def _items(items: Iterator[Item]) -> Iterator[Item]:
    """The items of one row; its ValueError is one more flaw."""
    try:
        yield from items
    except ValueError as problem:
        yield Flaw(str(problem))


def _named(item: RankedPrompt | Unpaired, name: str, origin: str) -> RankedPrompt | Unpaired:
    """With the name of the source as the origin of every ranking, or the file's where the row names none."""
    if isinstance(item, Unpaired):
        return item
    rankings = [replace(ranking, origin=name or ranking.origin or origin) for ranking in item.rankings]
    return replace(item, rankings=rankings)


def rename(row: Row, fields: dict[str, str]) -> Row:
    """The row with the columns of ``fields`` under the names that the layouts know; dots reach into a column."""
    return {**row, **{known: _reach(row, path) for known, path in fields.items()}} if fields else row


def _reach(row: Row, path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
