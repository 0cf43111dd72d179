"""Clean one shard: read, normalise, filter, screen, sign. A pure function of the plan and the shard's number."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from configs.schema.corpus import CorpusConfig
from configs.schema.sources import TextSource
from tasks.corpus.contamination import Found, Index
from tasks.corpus.counting import Count, counter
from tasks.corpus.document import Document, folded_digest
from tasks.corpus.neardup.scheme import scheme_of
from tasks.corpus.neardup.texts import from_strings, path_for, sign
from tasks.corpus.plan import Plan, Report
from tasks.corpus.quality.judge import judge
from tasks.corpus.read import SourceCount, read_documents
from tasks.corpus.screen import Screen, ScreenCounts
from tasks.corpus.simplified import Fold, fold_for
from tasks.corpus.work import Cleaned, ShardWriter, done_shard

BATCH = 4_000_000  # characters that are worked on at a time


@dataclass
class Tools:
    """What a process needs to clean shards of one plan, made once."""

    plan: Plan
    screen: Screen
    index: Index | None
    fold: Fold
    count: Count

    @classmethod
    def of(cls, plan: Plan) -> "Tools":
        """Load word lists, classifiers and the index of evaluation sets."""
        index = Index.load(plan.contamination) if plan.contamination is not None else None
        return cls(plan, Screen(plan.config, plan.inputs), index, fold_for(plan.config.dedup), counter(plan))


@dataclass
class ShardCount:
    """What became of the rows of one shard; adds up over shards."""

    source: int
    read: SourceCount
    screen: ScreenCounts = field(default_factory=ScreenCounts)
    found: Found = field(default_factory=Found)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "source": self.source,
            "read": asdict(self.read),
            "screen": vars(self.screen),
            "found": self.found.as_json(),
        }


_tools: list[Tools] = []  # of the newest plan this process worked at


def clean_shard(folder: Path, number: int, report: Report) -> None:
    """Clean the documents of a job into ``folder/shards/NUMBER``, unless that is finished. See work.py."""
    plan = Plan.load(folder)
    if done_shard(plan.shard(number)) is not None:
        return
    if not _tools or _tools[0].plan != plan:
        _tools[:] = [Tools.of(plan)]
    tools, job = _tools[0], plan.job(number)
    config, source = plan.config, plan.config.sources[job.source]
    count = ShardCount(job.source, SourceCount(source.name))
    tools.screen.counts = count.screen
    with ShardWriter(plan.shard(number)) as writer:

        def documents() -> Iterator[Document]:
            for part in job.parts:
                yield from read_documents(source, job.source, part, config, count.read, writer.set_aside)

        done = 0
        for batch in _batches(documents()):
            writer.add(clean_batch(batch, source, tools, count))
            done += sum(len(document.text) for document in batch)
            report(min(done, job.size))
        writer.finish(count.as_json())
    report(job.size)


def clean_batch(documents: list[Document], source: TextSource, tools: Tools, count: ShardCount) -> Cleaned:
    """Decide on each document, and measure those that stay. Texts may change: lines removed, numbers masked."""
    config, screen = tools.plan.config, tools.screen
    reasons: list[str | None] = [screen.language(document, source.language) for document in documents]
    if source.quality == "drop":
        _filter(documents, reasons, tools)
    if tools.index is not None:
        _decontaminate(documents, reasons, tools.index, count)
    for place, document in enumerate(documents):
        if reasons[place] is None:
            reasons[place] = screen.reason(document)
        document.digest = folded_digest(tools.fold(document.text))
    texts = from_strings([document.text for document in documents])
    tokens = tools.count(texts)
    shingles, keys = sign_documents(documents, reasons, source, tools)
    quality = [_quality(document, config) for document in documents]
    return Cleaned(documents, reasons, tokens, quality, shingles, keys)


def _filter(documents: list[Document], reasons: list[str | None], tools: Tools) -> None:
    """Reasons of the quality filters; texts that a filter shortens."""
    config = tools.plan.config
    places = [place for place, reason in enumerate(reasons) if reason is None]
    chosen = [documents[place] for place in places]
    texts = from_strings([document.text for document in chosen])
    limited = config.filters.min_tokens is not None or config.filters.max_tokens is not None
    tokens = tools.count(texts) if limited and config.counted_by is not None else None
    verdict = judge(texts, [document.language for document in chosen], config.filters, tokens)
    for place, reason in zip(places, verdict.reasons, strict=True):
        reasons[place] = reason
    if config.filters.c4 is not None:
        for document, text in zip(chosen, verdict.texts, strict=True):
            document.text = text.as_py()


def _decontaminate(documents: list[Document], reasons: list[str | None], index: Index, count: ShardCount) -> None:
    places = [place for place, reason in enumerate(reasons) if reason is None]
    found = index.check(from_strings([documents[place].text for place in places]))
    for place, hit in zip(places, found, strict=True):
        if hit is not None:
            reasons[place] = "contaminated"
            count.found.add(documents[place].id, count.read.name, hit)


def sign_documents(
    documents: list[Document], reasons: list[str | None], source: TextSource, tools: Tools
) -> tuple[np.ndarray, np.ndarray | None]:
    """Shingles and band keys; zeros for documents that are dropped already."""
    shingles = np.zeros(len(documents), dtype=np.int64)
    if source.near_duplicates == "keep":
        return shingles, None
    scheme = scheme_of(tools.plan.config.dedup)
    keys = np.zeros((scheme.bands, len(documents)), dtype=np.uint64)
    places = [place for place, reason in enumerate(reasons) if reason is None]
    texts = [tools.fold(documents[place].text) for place in places]
    signed = sign(from_strings(texts), scheme, path_for(tools.plan.size))
    keys[:, places], shingles[places] = signed.keys, signed.counts
    return shingles, keys


def _quality(document: Document, config: CorpusConfig) -> float | None:
    """The number in the document's metadata that says how good it is; None when there is none."""
    value = document.metadata.get(config.quality_field)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
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
