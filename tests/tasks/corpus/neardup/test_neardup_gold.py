"""Recall and precision on real texts: the shared gold sample, and pairs planted here with plain-Python similarities."""

import gzip
import json
import os
import random
from itertools import combinations
from pathlib import Path

import pytest

from benchmarks.corpus.planted import make_pairs, passages, similarity
from configs.schema.corpus import DedupConfig
from tasks.corpus.neardup.find import find_near
from tasks.corpus.neardup.texts import from_strings

TARGETS = [("en", 0.98), ("zh", 0.96)]


def clusters(texts: list[str]) -> list[list[int]]:
    return find_near(lambda: [from_strings(texts)], DedupConfig()).lists()


@pytest.fixture
def data() -> Path:
    folder = Path(os.environ.get("PLUMBLINE_TEST_DATA") or "absent")
    if not (folder / "gold" / "neardup_docs.jsonl.gz").exists():
        pytest.skip("PLUMBLINE_TEST_DATA has no gold/neardup_docs.jsonl.gz")
    return folder


@pytest.mark.real
@pytest.mark.parametrize(("language", "recall"), TARGETS)
def test_gold_recall_and_precision(data: Path, language: str, recall: float) -> None:
    docs, pairs = (
        [json.loads(line) for line in gzip.decompress((data / "gold" / name).read_bytes()).splitlines()]
        for name in ("neardup_docs.jsonl.gz", "neardup_pairs.jsonl.gz")
    )
    docs = [row for row in docs if row["lang"] == language]
    found = clusters([row["text"] for row in docs])
    cluster_of = {docs[at]["id"]: number for number, members in enumerate(found) for at in members}
    known = {frozenset((pair["a"], pair["b"])): pair["jaccard5"] for pair in pairs}
    ids = {row["id"] for row in docs}
    wanted = [pair for pair, value in known.items() if value >= 0.7 and pair <= ids]
    hit = [pair for pair in wanted if len({cluster_of.get(id_, id_) for id_ in pair}) == 1]
    assert len(hit) / len(wanted) >= recall
    joined = [frozenset(docs[at]["id"] for at in pair) for members in found for pair in combinations(members, 2)]
    assert all(known.get(pair, 0) >= 0.3 for pair in joined)


@pytest.mark.real
@pytest.mark.parametrize(("language", "recall"), TARGETS)
def test_planted_recall_and_precision_with_hard_negatives(data: Path, language: str, recall: float) -> None:
    texts = random.Random(0).sample(list(passages(data, language)), 8000)
    pairs = make_pairs(texts, language, 1500)
    assert sum(0.4 <= pair.similarity < 0.7 for pair in pairs) > 200
    found = clusters([text for pair in pairs for text in (pair.left, pair.right)])
    assert all(len(members) == 2 and members[0] // 2 == members[1] // 2 for members in found)
    joined = {members[0] // 2 for members in found}
    wanted = [number for number, pair in enumerate(pairs) if pair.similarity >= 0.7]
    assert len(joined.intersection(wanted)) / len(wanted) >= recall
    assert len(joined.intersection(wanted)) / len(joined) >= 0.999


def test_planted_similarity_by_hand() -> None:
    assert similarity("a b c d e f", "A, b c d e g!") == pytest.approx(1 / 3)
    assert similarity("我爱北京天", "我爱北京地") == 0
    words = " ".join(f"w{number}" for number in range(200))
    pairs = make_pairs([words.replace("w", name) for name in "abcdefghijklmnopqrstuvxyz"], "en", 12)
    assert [pair.kind for pair in pairs][:3] == ["substitute", "delete", "insert"]
    assert all(pair.similarity == similarity(pair.left, pair.right) for pair in pairs)
    assert next(pair for pair in pairs if pair.kind == "retype").similarity == 1
    assert all(pair.similarity < 0.7 for pair in pairs if pair.kind == "boilerplate")
