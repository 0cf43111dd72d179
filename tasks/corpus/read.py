"""Raw rows to normalised documents; what cannot be read goes to the quarantine."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from configs.schema.corpus import CorpusConfig
from configs.schema.sources import TextSource
from tasks.corpus.document import Document, text_id
from tasks.corpus.layout import PLAIN, Textless, Unreadable, given_id, read_row
from tasks.corpus.normalise import split_long
from tasks.failures import BadData
from tasks.formats import FilePart, ReadLimits, Row, file_format, read_part

SHOWN_LINES = 3
SetAside = Callable[[dict[str, Any]], None]


@dataclass
class SourceCount:
    """What became of one source. rows read = quarantined + documents - split_added."""

    name: str
    rows: int = 0
    quarantined: int = 0
    split_added: int = 0
    documents: int = 0
    textless: int = 0
    missing: str = ""  # what the first textless row lacks
    keys: list[str] = field(default_factory=list)
    first_errors: list[str] = field(default_factory=list)

    def add(self, other: "SourceCount") -> None:
        """Count what another part of the same source gave; parts are added in their order."""
        for name in ("rows", "quarantined", "split_added", "documents", "textless"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.missing = self.missing or other.missing
        self.keys = self.keys or other.keys
        self.first_errors = [*self.first_errors, *other.first_errors][:SHOWN_LINES]


def read_documents(
    source: TextSource, index: int, part: FilePart, config: CorpusConfig, count: SourceCount, set_aside: SetAside
) -> Iterator[Document]:
    """Documents of one part of a file of ``config.sources[index]``; a plain function of its arguments.

    count: filled; reading stops when it holds ``source.max_documents``. set_aside: called with
    {"file", "line", "offset", "error", "text"} of each row that gives no document. Ids are the rows' own, or made
    from the text; rows with equal ids are all handed on. Raises BadData when the file is unsound.
    """
    for row in _rows(source, part, count):
        yield from _documents(row, source, index, part, config, count, set_aside)


def check_share(source: TextSource, count: SourceCount, limit: float) -> None:
    """Raises BadData when no row has a text, or when more than this share cannot be read."""
    if count.rows and count.textless == count.rows:
        raise BadData(
            f"source {source.name!r}: all {count.rows} rows have {count.missing}; the keys are "
            f"{', '.join(count.keys)}; set corpus.sources.text_field or corpus.sources.layout"
        )
    if count.quarantined > limit * count.rows:
        raise BadData(
            f"source {source.name!r}: {count.quarantined} of {count.rows} rows cannot be read, more than "
            f"corpus.max_malformed={limit}: {'; '.join(count.first_errors)}"
        )


def _rows(source: TextSource, part: FilePart, count: SourceCount) -> Iterator[Row]:
    """Rows until the source has given as many documents as it may."""
    limits = ReadLimits(source.limits.row_bytes, source.limits.expansion, source.limits.expanded_bytes)
    for row in read_part(part, limits):
        if source.max_documents is not None and count.rows - count.quarantined >= source.max_documents:
            return
        count.rows += 1
        yield row


def _documents(
    row: Row,
    source: TextSource,
    index: int,
    part: FilePart,
    config: CorpusConfig,
    count: SourceCount,
    set_aside: SetAside,
) -> Iterator[Document]:
    document, error = _document(row, source, part, index, count)
    if document is None:
        _quarantine(row, part, error, count, set_aside)
    else:
        yield from _pieces(document, config.split_characters, count)


def _document(
    row: Row, source: TextSource, part: FilePart, index: int, count: SourceCount
) -> tuple[Document | None, str]:
    """The document of a row, or None and why there is none."""
    if row.values is None:
        return None, row.error
    format = file_format(PurePosixPath(row.member), part.format) if row.member else part.format
    try:
        text, metadata = read_row(row.values, source, format)
    except Unreadable as error:
        if isinstance(error, Textless):
            count.textless += 1
            count.missing = count.missing or str(error)
            count.keys = count.keys or sorted(map(str, row.values))
        return None, str(error)
    if format in (*PLAIN, "html"):
        metadata["file"] = _file(row, part)
    return Document(given_id(row.values, source) or text_id(text), text, index, metadata), ""


def _pieces(document: Document, size: int | None, count: SourceCount) -> Iterator[Document]:
    """The document, or its pieces when it is long. A conversation is never cut: its messages belong together."""
    texts = [document.text] if "messages" in document.metadata else split_long(document.text, size)
    count.documents += len(texts)
    count.split_added += len(texts) - 1
    if len(texts) == 1:
        yield document
        return
    rest = {key: value for key, value in document.metadata.items() if key != "nats"}
    for number, text in enumerate(texts):
        metadata = {**rest, "piece": number, "pieces": len(texts)}
        yield Document(f"{document.id}#{number:04d}", text, document.source, metadata)


def _quarantine(row: Row, part: FilePart, error: str, count: SourceCount, set_aside: SetAside) -> None:
    count.quarantined += 1
    shown = row.raw or json.dumps(row.values, ensure_ascii=False, default=str)[:200]
    file = _file(row, part)
    set_aside({"file": file, "line": row.line, "offset": row.offset, "error": error, "text": shown})
    if len(count.first_errors) < SHOWN_LINES:
        count.first_errors.append(f"{file}:{row.line}: {error}")


def _file(row: Row, part: FilePart) -> str:
    """Name of the file without folders, and of the member of an archive."""
    return f"{part.path.name}/{row.member}" if row.member else part.path.name
