"""Evaluation items: rows of evaluation sets, and the text of each field."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from configs.schema.contamination import EvaluationSet
from tasks.failures import BadData
from tasks.formats import read_rows


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its id, and the texts of the configured fields that it has, in the order of the config.

    parts: of a field that is a list, such as choices, each part by itself; one part of any other field.
    first: whether the first text is that of the first field.
    """

    id: str
    parts: list[list[str]]
    first: bool

    def texts(self) -> list[str]:
        """Text of each field."""
        return ["\n".join(parts) for parts in self.parts]

    def layouts(self) -> list[str]:
        """All fields as one text, in the ways that documents print them: plain, and with A, B, … at the choices."""
        lines = [part for parts in self.parts[1:] for part in parts]
        if not lines:
            return []
        plain = "\n".join((*self.parts[0], *lines))
        lettered = [f"{letter} {line}" for letter, line in zip(ascii_uppercase, lines, strict=False)]
        return [plain, "\n".join((*self.parts[0], *lettered))] if len(lines) > 1 else [plain]


def read_items(config: EvaluationSet, files: list[Path]) -> list[Item]:
    """All items of a set. A field may be absent from some items, but not from all.

    Raises BadData: no file, no item, a row that cannot be read, a row with none of the fields, a field of no row.
    """
    if not files:
        raise BadData(f"evaluation set {config.name!r}: no file matches {config.path!r}; set its path")
    items: list[Item] = []
    seen: set[str] = set()
    for path in files:
        for line, row, error in read_rows(path, config.format):
            where = f"evaluation set {config.name!r}, {path.name}, line {line}"
            if row is None:
                raise BadData(f"{where}: {error}; an evaluation set must be sound")
            texts = {field: parts for field in config.fields if (parts := _text(row, field, where))}
            if not texts:
                has = ", ".join(map(str, row)) or "none"
                raise BadData(f"{where}: no text in {', '.join(config.fields)}; its keys: {has}; set `fields`")
            seen.update(texts)
            items.append(Item(_id(row, config, path, line, where), list(texts.values()), config.fields[0] in texts))
    if not items:
        raise BadData(f"evaluation set {config.name!r}: {files[0].name} holds no items")
    for field in config.fields:
        if field not in seen:
            raise BadData(f"evaluation set {config.name!r}: no item has text in field {field!r}; set `fields`")
    return items


def _id(row: dict[str, Any], config: EvaluationSet, path: Path, line: int, where: str) -> str:
    if config.id_field is None:
        return f"{path.name}:{line}"
    id_ = "\n".join(_text(row, config.id_field, where))
    if not id_:
        raise BadData(f"{where}: no id in {config.id_field!r}; set `id_field`")
    return id_


def _text(row: dict[str, Any], field: str, where: str) -> list[str]:
    """The field's text, or those of its parts."""
    return [part for part in _parts(row, field.split("."), field, where) if part.strip()]


def _parts(value: Any, names: list[str], field: str, where: str) -> Iterator[str]:
    """Texts that ``names`` lead to; a list on the way is gone through."""
    if value is None:
        return
    if isinstance(value, list | tuple):
        for one in value:
            yield from _parts(one, names, field, where)
    elif names:
        # A key with a dot in it is taken as written
        whole = ".".join(names)
        if isinstance(value, dict) and whole in value:
            yield from _parts(value[whole], [], field, where)
        elif isinstance(value, dict):
            yield from _parts(value.get(names[0]), names[1:], field, where)
    elif isinstance(value, dict):
        first = next(iter(value), "KEY")
        raise BadData(f"{where}: {field!r} is an object; name what is inside, such as {field}.{first}")
    elif isinstance(value, bytes):
        raise BadData(f"{where}: {field!r} is binary, not text; set `fields`")
    else:
        yield str(value)
