"""Raw rows to normalised documents; what cannot be read goes to the quarantine."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from configs.schema.corpus import CorpusConfig
from configs.schema.sources import TextSource
from tasks.corpus.document import Document, text_id
from tasks.corpus.layout import Textless, Unreadable, read_row
from tasks.corpus.normalise import split_long
from tasks.failures import BadData
from tasks.formats import Row, file_format, read_file

SHOWN_LINES = 3
Progress = Callable[[int, int], None]


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


def read_sources(
    config: CorpusConfig, files: list[list[Path]], quarantine: TextIO, counts: list[SourceCount], progress: Progress
) -> Iterator[Document]:
    """Documents of all sources in order; fills one `SourceCount` a source.

    files: the files of each source. progress: called with bytes read and bytes in all.
    Raises BadData when a file is unsound, no row has the text field, or too many rows are malformed.
    """
    total = sum(path.stat().st_size for paths in files for path in paths if path.exists())
    done = 0
    for index, source in enumerate(config.sources):
        count = counts[index]
        for path in files[index]:
            for row in _rows(source, path, count):
                document, error = _document(row, source, path, index, count)
                if document is None:
                    _set_aside(row, path, error, quarantine, count)
                else:
                    yield from _pieces(document, config.split_characters, count)
                progress(min(done + row.position, total - 1), total)
            done += path.stat().st_size
        _check(source, count, config.max_malformed)
    progress(total, total)


def _rows(source: TextSource, path: Path, count: SourceCount) -> Iterator[Row]:
    """Rows until the source has given as many documents as it may."""
    for row in read_file(path, source.format):
        if source.max_documents is not None and count.rows - count.quarantined >= source.max_documents:
            return
        count.rows += 1
        yield row


def _document(row: Row, source: TextSource, path: Path, index: int, count: SourceCount) -> tuple[Document | None, str]:
    """The document of a row, or None and why there is none."""
    if row.values is None:
        return None, row.error
    plain = file_format(path, source.format) == "txt"
    try:
        text, metadata = read_row(row.values, source, "text" if plain else source.text_field)
    except Unreadable as error:
        if isinstance(error, Textless):
            count.textless += 1
            count.missing = count.missing or str(error)
            count.keys = count.keys or sorted(map(str, row.values))
        return None, str(error)
    if plain:
        metadata["file"] = path.name
    given = row.values.get("id")
    known = isinstance(given, str | int) and not isinstance(given, bool) and given != ""
    return Document(str(given) if known else text_id(text), text, index, metadata), ""


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


def _set_aside(row: Row, path: Path, error: str, quarantine: TextIO, count: SourceCount) -> None:
    count.quarantined += 1
    shown = row.raw or json.dumps(row.values, ensure_ascii=False, default=str)[:200]
    entry = {"file": path.name, "line": row.line, "error": error, "text": shown}
    quarantine.write(json.dumps(entry, ensure_ascii=False) + "\n")
    if len(count.first_errors) < SHOWN_LINES:
        count.first_errors.append(f"{path.name}:{row.line}: {error}")


def _check(source: TextSource, count: SourceCount, limit: float) -> None:
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
