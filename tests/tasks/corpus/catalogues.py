"""A catalogue of given documents, written as shards as the stage writes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from configs.schema.corpus import CorpusConfig
from configs.schema.sources import TextSource
from tasks.corpus.catalogue import Catalogue
from tasks.corpus.clean import Tools, sign_documents
from tasks.corpus.document import Document, folded_digest
from tasks.corpus.plan import Plan, make_plan
from tasks.corpus.work import Cleaned, ShardWriter
from tasks.inputs import Inputs


def settings(*splits: str, keep: Sequence[int] = (), epochs: Sequence[float] = (), **config: object) -> CorpusConfig:
    """One source a split; ``keep``: sources whose near duplicates stay. epochs: of each source, one by default."""
    sources = [
        TextSource(
            name=f"s{index}",
            path=f"raw:{index}",
            split=split,
            near_duplicates="keep" if index in keep else "drop",
            epochs=epochs[index] if epochs else 1.0,
        )
        for index, split in enumerate(splits or ("hash",))
    ]
    return CorpusConfig(**{"sources": sources, "seed": 0, **config})


def document(id_: str, text: str, source: int = 0, **metadata: object) -> Document:
    return Document(id_, text, source, metadata, folded_digest(text))


def catalogue(
    folder: Path, documents: list[Document], config: CorpusConfig, reasons: dict[str, str] | None = None
) -> Catalogue:
    """Documents of each source as one shard; reasons: of those that are dropped already, by id."""
    folder.mkdir(exist_ok=True)
    raw = folder / "raw.jsonl"
    raw.touch()
    plan = make_plan(config, Inputs(sources={source.path: [raw] for source in config.sources}), folder / "work")
    tools = Tools.of(plan)
    for number, index in enumerate(plan.job_sources):
        rows = [row for row in documents if row.source == index]
        fate = [(reasons or {}).get(row.id) for row in rows]
        with ShardWriter(plan.shard(number)) as writer:
            if rows:
                shingles, keys = sign_documents(rows, fate, config.sources[index], tools)
                tokens = np.array([len(row.text.split()) for row in rows])
                quality = [row.metadata.get("score") for row in rows]
                writer.add(Cleaned(rows, fate, tokens, quality, shingles, keys))
            writer.finish({})
    return Catalogue.of(Plan.load(plan.folder))
