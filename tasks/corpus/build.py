"""The corpus stage: read, normalise, filter, screen, deduplicate, split, mix, write."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from configs.schema.corpus import CorpusConfig
from tasks.corpus.document import Document, Reject, folded_digest
from tasks.corpus.duplicates import drop_exact, drop_near, save_signatures
from tasks.corpus.filters import Page, failed_filter
from tasks.corpus.mix import mix, split_heldout
from tasks.corpus.neardup.cluster import Clusters
from tasks.corpus.neardup.stored import Stored
from tasks.corpus.read import SourceCount, read_sources
from tasks.corpus.report import cluster_sizes, examples, largest_clusters, require_training, shares, source_counts
from tasks.corpus.screen import Screen
from tasks.corpus_shards import write_parquet, write_shards
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live

REJECTS = pa.schema([(name, pa.string()) for name in ("id", "text", "source", "reason", "duplicate_of")])


@dataclass
class Screened:
    """Documents after filters and screens, what was dropped on the way, and the screens with their counts."""

    screen: Screen
    documents: list[Document] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def build_corpus(config: CorpusConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Clean Parquet shards from raw sources; see "Artifact formats" for what ``out`` holds.

    The result does not depend on the order of rows inside a source when rows have ids. Held-out documents share
    no duplicate, exact or near, with training documents (near: of the sources with near_duplicates "drop").
    Raises BadData for unsound files, too many malformed rows, and an empty result.
    """
    seed = config.seed if config.seed is not None else 0
    counts = [SourceCount(source.name) for source in config.sources]
    screened = _read_and_screen(config, inputs, out, live, counts)
    ordered = sorted(screened.documents, key=Document.order)
    earlier = Stored([path for corpus in config.dedup.against for path in inputs.sources[corpus.path]])
    unique, exact = drop_exact(ordered, earlier.digests())
    kept, near, found = drop_near(
        unique, config.dedup, lambda done, total: live.progress(done, total, "bands compared"), earlier
    )
    train, heldout = split_heldout(kept, config, seed)
    mixed = mix(train, config, seed)
    rejects = sorted(screened.rejects, key=lambda reject: reject.document.order()) + exact + near
    require_training(mixed, counts, rejects)
    if not heldout:
        live.say("no document is held out: perplexity cannot be measured; set split: heldout on a source")
    write_shards(out, "train", (_row(config, document) for document in mixed), config.shard_documents)
    write_shards(out, "heldout", (_row(config, document) for document in heldout), config.shard_documents)
    _write_rejects(config, rejects, out)
    if config.dedup.signatures:
        save_signatures(kept, [source.name for source in config.sources], config.dedup, out)
    report = _report(config, counts, kept, rejects, screened, found, mixed, heldout)
    (out / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    metrics = dict(report["totals"])
    live.say(_sentence(metrics))
    return metrics


def _read_and_screen(
    config: CorpusConfig, inputs: Inputs, out: Path, live: Live, counts: list[SourceCount]
) -> Screened:
    """Read all sources; filter and screen each document as it comes."""
    files = [inputs.sources.get(source.path, []) for source in config.sources]
    for source, paths in zip(config.sources, files, strict=True):
        if not paths:
            raise BadData(f"source {source.name!r}: no file matches {source.path!r}; set corpus.sources.path")
    screened = Screened(Screen(config, inputs))
    with (out / "quarantine.jsonl").open("w", encoding="utf-8") as quarantine:
        for document in read_sources(
            config, files, quarantine, counts, lambda done, total: live.progress(done, total, "bytes read")
        ):
            _screen(document, config, screened)
    return screened


def _screen(document: Document, config: CorpusConfig, screened: Screened) -> None:
    """Filter one document, detect its language, and screen it for personal data and terms."""
    source = config.sources[document.source]
    reason = screened.screen.language(document, source.language)
    page = Page(document.text, document.language)
    reason = reason or failed_filter(page, config.filters) or screened.screen.reason(document)
    document.digest = folded_digest(document.text)
    if reason is not None:
        screened.rejects.append(Reject(document, reason))
        return
    document.compared = source.near_duplicates == "drop"
    screened.documents.append(document)


def _row(config: CorpusConfig, document: Document) -> dict[str, Any]:
    source = config.sources[document.source]
    return {
        "id": document.id,
        "text": document.text,
        "source": source.name,
        "language": document.language,
        "metadata": document.metadata,
    }


def _write_rejects(config: CorpusConfig, rejects: list[Reject], out: Path) -> None:
    (out / "rejects").mkdir()
    rows = [
        {
            "id": reject.document.id,
            "text": reject.document.text,
            "source": config.sources[reject.document.source].name,
            "reason": reject.reason,
            "duplicate_of": reject.duplicate_of,
        }
        for reject in rejects
    ]
    write_parquet(out / "rejects" / "rejects.parquet", rows, REJECTS)


def _report(
    config: CorpusConfig,
    counts: list[SourceCount],
    kept: list[Document],
    rejects: list[Reject],
    screened: Screened,
    found: Clusters,
    mixed: list[Document],
    heldout: list[Document],
) -> dict[str, Any]:
    """report.json: totals (the stage's metrics), sources, reasons, clusters, PII, mix, examples."""
    sources = source_counts(config, counts, kept, rejects)
    reasons = Counter(reject.reason for reject in rejects)
    exact, near = reasons["exact_duplicate"], reasons["near_duplicate"]
    totals = {
        "documents_in": sum(count.documents + count.quarantined for count in counts),
        "kept": len(kept),
        "duplicates": exact + near,
        "rejected": reasons.total() - exact - near,
        "quarantined": sum(count.quarantined for count in counts),
        "exact_duplicates": exact,
        "near_duplicates": near,
        "pii_masked": screened.screen.counts.masked.total(),
        **screened.screen.metrics(),
        "training": len(mixed),
        "heldout": len(heldout),
        "characters": sum(len(document.text) for document in mixed),
    }
    dropped = totals["duplicates"] + totals["rejected"] + totals["quarantined"]
    if totals["documents_in"] != totals["kept"] + dropped:
        raise AssertionError(f"documents are not all accounted for: {totals}")
    return {
        "totals": totals,
        "sources": sources,
        "reasons": dict(sorted(reasons.items())),
        "near_duplicates": {
            "clusters": cluster_sizes(found),
            "largest": largest_clusters([reject for reject in rejects if reject.reason == "near_duplicate"]),
            "pairs_compared": found.pairs,
            "pairs_left_out_of_oversized_buckets": found.capped,
        },
        **screened.screen.report(),
        "mix": {"train": shares(config, mixed), "heldout": shares(config, heldout)},
        "examples": examples(config, rejects),
    }


def _sentence(metrics: dict[str, Any]) -> str:
    return (
        f"{metrics['documents_in']} documents: {metrics['kept']} kept, {metrics['exact_duplicates']} exact and "
        f"{metrics['near_duplicates']} near duplicates, {metrics['rejected']} rejected, "
        f"{metrics['quarantined']} quarantined, {metrics['pii_masked']} addresses and numbers masked"
    )
