"""What the corpus stage did, as counts that add up, with examples."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from configs.schema.corpus import CorpusConfig
from tasks.corpus.document import Document, Reject
from tasks.corpus.filters import FILTERS
from tasks.corpus.neardup.cluster import Clusters
from tasks.corpus.read import SourceCount
from tasks.failures import BadData

EXAMPLES = 3  # a reason
EXAMPLE_CHARACTERS = 160
SETTINGS = {
    **{test.name: f"corpus.filters.{test.setting}" for test in FILTERS},
    "exact_duplicate": "corpus.sources (the same text is read twice)",
    "near_duplicate": "corpus.dedup.threshold, or near_duplicates: keep of the source",
    "language": "corpus.language",
}


def source_counts(
    config: CorpusConfig, counts: list[SourceCount], kept: list[Document], rejects: list[Reject]
) -> list[dict[str, Any]]:
    """Counts of each source. Rows and split pieces are all accounted for: kept + rejected + quarantined."""
    kept_in = Counter(document.source for document in kept)
    dropped_in: list[Counter[str]] = [Counter() for _ in counts]
    for reject in rejects:
        dropped_in[reject.document.source][reject.reason] += 1
    rows = []
    for index, count in enumerate(counts):
        dropped = dropped_in[index]
        if count.documents != kept_in[index] + dropped.total() or count.rows != (
            count.quarantined + count.documents - count.split_added
        ):
            raise AssertionError(f"source {count.name!r}: documents are not all accounted for: {count}, {dropped}")
        rows.append(
            {
                "name": count.name,
                "rows": count.rows,
                "quarantined": count.quarantined,
                "split_added": count.split_added,
                "documents": count.documents,
                "kept": kept_in[index],
                "dropped": dict(sorted(dropped.items())),
            }
        )
    return rows


def shares(config: CorpusConfig, documents: Iterable[Document]) -> list[dict[str, Any]]:
    """Documents and characters of each source among ``documents``, and their shares."""
    texts, characters = Counter[int](), Counter[int]()
    for document in documents:
        texts[document.source] += 1
        characters[document.source] += len(document.text)
    all_texts, all_characters = max(texts.total(), 1), max(characters.total(), 1)
    return [
        {
            "name": source.name,
            "epochs": source.epochs,
            "documents": texts[index],
            "document_share": round(texts[index] / all_texts, 6),
            "characters": characters[index],
            "character_share": round(characters[index] / all_characters, 6),
        }
        for index, source in enumerate(config.sources)
    ]


def examples(config: CorpusConfig, rejects: list[Reject]) -> dict[str, list[dict[str, Any]]]:
    """The first rejected documents of each reason, in document order."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for reject in rejects:
        rows = shown.setdefault(reject.reason, [])
        if len(rows) < EXAMPLES:
            document = reject.document
            row = {"id": document.id, "source": config.sources[document.source].name}
            if reject.duplicate_of is not None:
                row["duplicate_of"] = reject.duplicate_of
            rows.append({**row, "text": document.text[:EXAMPLE_CHARACTERS]})
    return dict(sorted(shown.items()))


def cluster_sizes(found: Clusters) -> dict[str, int]:
    """Number of near-duplicate clusters of each size."""
    sizes = Counter(found.sizes().tolist())
    return {str(size): sizes[size] for size in sorted(sizes)}


def largest_clusters(near: list[Reject]) -> list[dict[str, Any]]:
    """The survivors that most near duplicates were dropped for, with how many, and the first of their ids."""
    dropped: dict[str, list[str]] = {}
    for reject in near:
        dropped.setdefault(str(reject.duplicate_of), []).append(reject.document.id)
    ranked = sorted(dropped.items(), key=lambda item: (-len(item[1]), item[0]))[:EXAMPLES]
    return [{"kept": kept, "dropped": len(ids), "examples": ids[:EXAMPLES]} for kept, ids in ranked]


def require_training(train: list[Document], counts: list[SourceCount], rejects: list[Reject]) -> None:
    """Raise BadData when no training document is left, with the reason that dropped most and its setting."""
    if train:
        return
    rows = sum(count.rows for count in counts)
    if rows == 0:
        raise BadData("the sources hold no rows: check corpus.sources.path")
    dropped = Counter(reject.reason for reject in rejects)
    if not dropped:
        raise BadData(
            f"no training document is left of {rows} rows: all are held out or left out; change corpus.heldout, "
            "or split and epochs of the sources"
        )
    reason, number = min(dropped.items(), key=lambda item: (-item[1], item[0]))
    raise BadData(f"no training document is left of {rows} rows: {reason} dropped {number}; change {_setting(reason)}")


def _setting(reason: str) -> str:
    """The setting to change when a reason drops too much."""
    for prefix, settings in (("pii_", "corpus.pii."), ("screen_", "corpus.screen: ")):
        if reason.startswith(prefix):
            return settings + reason.removeprefix(prefix)
    return SETTINGS[reason]
