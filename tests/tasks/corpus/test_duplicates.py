"""Near duplicates against brute force, the survivor rule, and the gold sample."""

import gzip
import json
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema.corpus import DedupConfig
from tasks.corpus import duplicates
from tasks.corpus.document import Document, folded_digest
from tasks.corpus.duplicates import NearDuplicates, drop_exact, drop_near, find_near, signature
from tasks.corpus.words import shingle_hashes, words_of

CONFIG = DedupConfig()


def document(id_: str, text: str, source: int = 0, compared: bool = True) -> Document:
    signed = signature(shingle_hashes(words_of(text), CONFIG.shingle), CONFIG) if compared else b""
    return Document(id_, text, source, {}, folded_digest(text), signed)


def near(texts: list[str], config: DedupConfig = CONFIG) -> NearDuplicates:
    signed = [signature(shingle_hashes(words_of(text), config.shingle), config) for text in texts]
    matrix = np.array([np.frombuffer(row, dtype=np.uint32) for row in signed]).reshape(len(texts), -1)
    return find_near(texts, matrix, config, lambda done, total: None)


def exact_jaccard(left: str, right: str) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[start : start + 5]) for start in range(max(1, len(words) - 4))}

    return len(runs(left) & runs(right)) / len(runs(left) | runs(right))


def test_exact_duplicates_fold_case_and_space_and_keep_the_first() -> None:
    documents = [document("a", "The  Fox\nruns"), document("b", "the fox runs"), document("c", "the fox ran")]
    kept, dropped = drop_exact(documents)
    assert [kept_.id for kept_ in kept] == ["a", "c"]
    assert [(reject.document.id, reject.reason, reject.duplicate_of) for reject in dropped] == [
        ("b", "exact_duplicate", "a")
    ]


def test_cluster_is_joined_through_a_middle_document_and_its_first_stays() -> None:
    words = [f"w{number}" for number in range(100)]
    shifted = [" ".join(words[start : start + 88]) for start in (0, 6, 12)]
    assert exact_jaccard(shifted[0], shifted[1]) >= 0.8
    assert exact_jaccard(shifted[0], shifted[2]) < 0.8
    documents = [
        document("a", shifted[0]),
        document("b", shifted[2]),
        document("c", shifted[1]),
        document("d", " ".join(words[50:])),
    ]
    kept, dropped, found = drop_near(documents, DedupConfig(threshold=0.8), lambda done, total: None)
    assert [kept_.id for kept_ in kept] == ["a", "d"]
    assert [(reject.document.id, reject.duplicate_of) for reject in dropped] == [("b", "a"), ("c", "a")]
    assert [len(cluster) for cluster in found.clusters] == [3]


def test_documents_without_signature_stay() -> None:
    text = " ".join(f"w{number}" for number in range(40))
    documents = [document("a", text), document("b", text + " end", source=1, compared=False)]
    kept, dropped, _ = drop_near(documents, CONFIG, lambda done, total: None)
    assert len(kept) == 2
    assert dropped == []


@st.composite
def families(draw: st.DrawFn) -> list[str]:
    """Texts in families: an original of 40 to 60 words, and copies with some words changed."""
    texts: list[str] = []
    for family in range(draw(st.integers(1, 4))):
        original = [f"f{family}w{number}" for number in range(draw(st.integers(40, 60)))]
        texts.append(" ".join(original))
        for copy in range(draw(st.integers(0, 4))):
            changed = draw(st.lists(st.integers(0, 39), max_size=5))
            texts.append(" ".join(f"x{copy}" if at in changed else word for at, word in enumerate(original)))
    return draw(st.permutations(texts))


@given(families())
@settings(max_examples=60, deadline=None)
def test_clusters_against_brute_force(texts: list[str]) -> None:
    found = near(texts)
    joined = {frozenset(pair) for cluster in found.clusters for pair in combinations(cluster, 2)}
    similar = {
        frozenset(pair): exact_jaccard(texts[pair[0]], texts[pair[1]]) for pair in combinations(range(len(texts)), 2)
    }
    # Sure to be found: a pair of .9 is missed with probability (1-.9^5)^25 = 1e-10.
    assert {pair for pair, value in similar.items() if value >= 0.9} <= joined
    # Never joined but through a chain of pairs at or above the threshold.
    for cluster in found.clusters:
        reached, frontier = {cluster[0]}, [cluster[0]]
        while frontier:
            node = frontier.pop()
            fresh = [
                other
                for other in cluster
                if other not in reached and similar[frozenset((node, other))] >= CONFIG.threshold
            ]
            reached.update(fresh)
            frontier += fresh
        assert reached == set(cluster)


def test_boilerplate_buckets_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "PARTNERS", 3)
    shared = [f"s{number}" for number in range(80)]  # Jaccard .655: candidates, but no duplicates
    texts = [" ".join([*shared, *(f"own{text}w{number}" for number in range(20))]) for text in range(40)]
    found = near(texts, DedupConfig(bands=4, rows=1))
    assert found.clusters == []
    assert found.capped > 0
    assert found.pairs <= 4 * 40 * 3 < 40 * 39 / 2


@pytest.mark.real
@pytest.mark.parametrize(("language", "recall"), [("en", 0.98), ("zh", 0.96)])
def test_gold_recall_and_precision(language: str, recall: float) -> None:
    folder = Path(os.environ.get("PLUMBLINE_TEST_DATA") or "absent") / "gold"
    if not (folder / "neardup_docs.jsonl.gz").exists():
        pytest.skip("PLUMBLINE_TEST_DATA has no gold/neardup_docs.jsonl.gz")
    docs, pairs = (
        [json.loads(line) for line in gzip.decompress((folder / name).read_bytes()).splitlines()]
        for name in ("neardup_docs.jsonl.gz", "neardup_pairs.jsonl.gz")
    )
    docs = [row for row in docs if row["lang"] == language]
    found = near([row["text"] for row in docs])
    cluster_of = {docs[at]["id"]: number for number, cluster in enumerate(found.clusters) for at in cluster}
    known = {frozenset((pair["a"], pair["b"])): pair["jaccard5"] for pair in pairs}
    ids = {row["id"] for row in docs}
    wanted = [pair for pair, value in known.items() if value >= 0.7 and pair <= ids]
    hit = [pair for pair in wanted if len({cluster_of.get(id_, id_) for id_ in pair}) == 1]
    assert len(hit) / len(wanted) >= recall
    joined = [
        frozenset(docs[at]["id"] for at in pair) for cluster in found.clusters for pair in combinations(cluster, 2)
    ]
    assert all(known.get(pair, 0) >= 0.3 for pair in joined)
