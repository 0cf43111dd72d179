"""A corpus is built against an earlier one: through the stage, from its signatures alone."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

from configs.schema.corpus import CorpusConfig, DedupConfig, EarlierCorpus
from configs.schema.sources import TextSource
from tasks.corpus.build import build_corpus
from tasks.corpus_shards import read_shards
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.sources import path_settings

WORDS = ["the", "river", "mill", "and", "old", "boat", "of", "a", "green", "hill", "with", "that", "lamp", "road"]
STORIES = [" ".join(random.Random(seed).choices(WORDS, k=60)) for seed in range(6)]


def build(folder: Path, name: str, texts: list[str], **dedup: Any) -> tuple[Path, dict[str, Any]]:
    raw, out, work = folder / f"{name}.jsonl", folder / name, folder / f"{name}-work"
    out.mkdir()
    work.mkdir()
    rows = [{"id": f"{name}{number}", "text": text} for number, text in enumerate(texts)]
    raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = CorpusConfig(sources=[TextSource(name=name, path=str(raw))], seed=0, dedup=DedupConfig(**dedup))
    files = {value: sorted(folder.glob(value.removeprefix(f"{folder}/"))) for _, value in path_settings(config)}
    return out, build_corpus(config, Inputs(sources=files), out, Live(work))


def ids(out: Path) -> set[str]:
    return {row["id"] for split in ("train", "heldout") for row in read_shards(out, split)}


def test_a_new_source_is_compared_with_signatures_and_no_text(tmp_path: Path) -> None:
    old, _ = build(tmp_path, "old", STORIES[:4], signatures=True)
    shutil.rmtree(old / "train")
    shutil.rmtree(old / "heldout")
    against = [EarlierCorpus(path=f"{tmp_path}/old/signatures/*.parquet")]
    texts = [STORIES[0].upper(), STORIES[1] + " And then.", STORIES[4], STORIES[4] + " And then.", STORIES[5]]
    new, metrics = build(tmp_path, "new", texts, against=against, signatures=True)
    assert ids(new) == {"new2", "new4"}
    assert (metrics["exact_duplicates"], metrics["near_duplicates"]) == (1, 2)
    report = json.loads((new / "report.json").read_text())
    assert report["near_duplicates"]["largest"] == [
        {"kept": "new2", "dropped": 1, "examples": ["new3"]},
        {"kept": "old1", "dropped": 1, "examples": ["new1"]},
    ]


def test_signatures_are_the_same_bytes_each_time_and_absent_by_default(tmp_path: Path) -> None:
    one, _ = build(tmp_path, "a", STORIES, signatures=True)
    (tmp_path / "again").mkdir()
    other, _ = build(tmp_path / "again", "a", STORIES, signatures=True)
    name = "signatures/00000.parquet"
    assert (one / name).read_bytes() == (other / name).read_bytes()
    assert not (build(tmp_path, "b", STORIES)[0] / "signatures").exists()
