"""Ranked prompts to a file in any layout that can be written; what it cannot hold is counted."""

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.failures import BadConfig
from tasks.rank.layouts.item import Lost, Row
from tasks.rank.layouts.table import LAYOUTS, WRITTEN
from tasks.rankings import RankedPrompt


@dataclass(frozen=True)
class Written:
    """rows: in the file. lost: how often each thing was there and could not be kept; never zero."""

    rows: int
    lost: dict[str, int]


def write_file(items: Iterable[RankedPrompt], layout: str, file: Path) -> Written:
    """Write one row after the other: .jsonl is an object a line, .json one array; .gz behind it packs.

    The file appears when it is complete. Raises BadConfig for a layout that is not written, another suffix, a file
    that is there already, or a folder that is not.
    """
    check_target(layout, file)
    lost: Lost = Counter()
    part = file.with_name(file.name + ".part")
    try:
        rows = 0
        with _open(part, file.name.endswith(".gz")) as stream:
            for text in _text(items, layout, lost, file):
                stream.write(text)
                rows += 1
            if _array(file):
                stream.write("\n]\n" if rows else "[]\n")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return Written(rows, {name: count for name, count in sorted(lost.items()) if count})


def check_target(layout: str, file: Path) -> None:
    """Raises BadConfig when rankings cannot be written to such a file; before anything long is begun."""
    if layout not in WRITTEN:
        raise BadConfig(f"--to {layout!r}: choose one of {', '.join(WRITTEN)}")
    if not file.name.removesuffix(".gz").endswith((".json", ".jsonl")):
        raise BadConfig(f"{file}: name it .jsonl (one object a line) or .json (one array), .gz behind it if you like")
    if not file.parent.is_dir():
        raise BadConfig(f"{file.parent}: no such folder; make it, or correct -o")
    if file.exists():
        raise BadConfig(f"{file} is there already; give another name with -o")


def _text(items: Iterable[RankedPrompt], layout: str, lost: Lost, file: Path) -> Iterator[str]:
    write = LAYOUTS[layout].write
    rows: Iterator[Row] = (row for item in items for row in write(item, lost)) if write else iter(())
    for number, row in enumerate(rows):
        text = json.dumps(row, ensure_ascii=False)
        yield (("[\n" if number == 0 else ",\n") + text) if _array(file) else text + "\n"


def _array(file: Path) -> bool:
    return file.name.removesuffix(".gz").endswith(".json")


def _open(file: Path, packed: bool) -> IO[str]:
    return gzip.open(file, "wt", encoding="utf-8") if packed else file.open("w", encoding="utf-8")
