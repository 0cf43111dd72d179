"""Exact and near duplicates: which documents stay, and which stand for them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from configs.schema.corpus import DedupConfig
from tasks.corpus.document import Document, Reject
from tasks.corpus.neardup.cluster import Clusters
from tasks.corpus.neardup.find import find_near
from tasks.corpus.neardup.scheme import scheme_of
from tasks.corpus.neardup.stored import Stored, write_signatures
from tasks.corpus.neardup.texts import from_strings

BATCH = 4_000_000  # characters of text that are handed to the engine at a time

Progress = Callable[[int, int], None]


def drop_exact(
    documents: list[Document], earlier: Mapping[bytes, str] | None = None
) -> tuple[list[Document], list[Reject]]:
    """Keep the first of the documents with equal folded text, and none whose digest ``earlier`` has, with its id.

    Documents must be in document order.
    """
    first: dict[bytes, str] = dict(earlier or {})
    kept, dropped = [], []
    for document in documents:
        survivor = first.get(document.digest)
        if survivor is None:
            first[document.digest] = document.id
            kept.append(document)
        else:
            dropped.append(Reject(document, "exact_duplicate", survivor))
    return kept, dropped


def drop_near(
    documents: list[Document], config: DedupConfig, progress: Progress, earlier: Stored | None = None
) -> tuple[list[Document], list[Reject], Clusters]:
    """Keep one document of each cluster of near duplicates among the documents that are compared.

    Documents must be in document order; those that are not compared stay. A cluster that a document of ``earlier``
    belongs to loses all of its new documents. Positions in the clusters that are returned count those of
    ``earlier`` first, then the compared documents.
    """
    compared = [document for document in documents if document.compared]
    size = sum(len(document.text) for document in compared)
    found = find_near(lambda: _batches(compared), config, progress, earlier, size)
    known = earlier.ids() if earlier is not None else []
    old = len(known)
    dropped: dict[int, Reject] = {}
    for cluster in found.lists():
        new = [position - old for position in cluster if position >= old]
        kept = None
        if len(new) == len(cluster):
            kept = min(new, key=lambda position: _rank(compared[position], config))
        survivor = known[cluster[0]] if kept is None else compared[kept].id
        for position in new:
            if position != kept:
                dropped[id(compared[position])] = Reject(compared[position], "near_duplicate", survivor)
    stay = [document for document in documents if id(document) not in dropped]
    return stay, list(dropped.values()), found


def save_signatures(documents: list[Document], sources: list[str], config: DedupConfig, out: Path) -> None:
    """Write the signatures of the kept documents to ``out/signatures``; sources: names by position."""
    (out / "signatures").mkdir()

    def columns() -> Iterator[dict[str, pa.Array]]:
        for batch in _groups(documents):
            yield {
                "id": pa.array([document.id for document in batch], pa.string()),
                "source": pa.array([sources[document.source] for document in batch], pa.string()),
                "digest": pa.array([document.digest for document in batch], pa.binary(16)),
                "text": pa.array(
                    [document.text if document.compared else None for document in batch], pa.large_string()
                ),
            }

    size = sum(len(document.text) for document in documents)
    write_signatures(out / "signatures" / "00000.parquet", columns(), scheme_of(config), config.sketch, size)


def _rank(document: Document, config: DedupConfig) -> tuple[object, ...]:
    """The least of a cluster stays."""
    source = document.source if config.prefer_source else 0
    longest = -len(document.text) if config.survivor == "longest" else 0
    # Without a preference, the ids of all sources are in one order
    return source, longest, *document.order()[1:], document.source


def _batches(documents: list[Document]) -> Iterator[pa.Array]:
    for batch in _groups(documents):
        yield from_strings([document.text for document in batch])


def _groups(documents: list[Document]) -> Iterator[list[Document]]:
    """Runs of documents of about `BATCH` characters."""
    batch: list[Document] = []
    held = 0
    for document in documents:
        batch.append(document)
        held += len(document.text)
        if held >= BATCH:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
