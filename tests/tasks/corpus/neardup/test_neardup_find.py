"""Clusters against brute force, whatever the order, the batches, the threads and the memory."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema.corpus import DedupConfig
from tasks.corpus.neardup import cluster, find, texts
from tasks.corpus.neardup.cluster import Clusters
from tasks.corpus.neardup.find import find_near
from tasks.corpus.neardup.scheme import scheme_of

CONFIG = DedupConfig()
LARGE = 1 << 40  # bytes: the compiled path


def near(
    rows: list[str], config: DedupConfig = CONFIG, split: int | None = None, size: int | None = 0, threads: int = 1
) -> Clusters:
    step = split or max(1, len(rows))
    batches = [texts.from_strings(rows[start : start + step]) for start in range(0, len(rows), step)]
    return find_near(lambda: batches, config, size=size, threads=threads)


def jaccard(left: str, right: str) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[start : start + 5]) for start in range(max(1, len(words) - 4))}

    return len(runs(left) & runs(right)) / len(runs(left) | runs(right))


@st.composite
def families(draw: st.DrawFn) -> list[str]:
    """Texts in families: an original of 40 to 60 words, and copies with some words changed."""
    rows: list[str] = []
    for family in range(draw(st.integers(1, 4))):
        original = [f"f{family}w{number}" for number in range(draw(st.integers(40, 60)))]
        rows.append(" ".join(original))
        for copy in range(draw(st.integers(0, 4))):
            changed = draw(st.lists(st.integers(0, 39), max_size=5))
            rows.append(" ".join(f"x{copy}" if at in changed else word for at, word in enumerate(original)))
    return draw(st.permutations(rows))


@given(families())
@settings(max_examples=80)
def test_clusters_against_brute_force(rows: list[str]) -> None:
    found = near(rows).lists()
    joined = {frozenset(pair) for members in found for pair in combinations(members, 2)}
    similar = {frozenset(pair): jaccard(rows[pair[0]], rows[pair[1]]) for pair in combinations(range(len(rows)), 2)}
    # Sure to be found: a pair of .9 is missed with probability (1-.9^5)^26 = 5e-11.
    assert {pair for pair, value in similar.items() if value >= 0.9} <= joined
    # Never joined but through a chain of pairs at or above the threshold.
    for members in found:
        reached, frontier = {members[0]}, [members[0]]
        while frontier:
            node = frontier.pop()
            fresh = [
                other
                for other in members
                if other not in reached and similar[frozenset((node, other))] >= CONFIG.threshold
            ]
            reached.update(fresh)
            frontier += fresh
        assert reached == set(members)


@given(families(), st.integers(1, 5), st.integers(1, 3), st.sampled_from((0, LARGE, None)), st.booleans())
@settings(max_examples=60)
def test_batches_threads_path_and_disk_change_nothing(
    rows: list[str], split: int, threads: int, size: int | None, disk: bool
) -> None:
    once = near(rows)
    with pytest.MonkeyPatch.context() as patch:
        if disk:
            patch.setattr(find, "MEMORY", 100)
        again = near(rows, CONFIG, split, size, threads)
    assert once.lists() == again.lists()
    assert (once.pairs, once.capped) == (again.pairs, again.capped)


@given(families(), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60)
def test_order_changes_no_cluster(rows: list[str], chance, verify: bool) -> None:  # type: ignore[no-untyped-def]
    config = DedupConfig(verify=verify)
    order = chance.sample(range(len(rows)), len(rows))

    def sets(found: Clusters, names: list[int]) -> set[frozenset[int]]:
        return {frozenset(names[member] for member in members) for members in found.lists()}

    once = near(rows, config)
    assert sets(once, list(range(len(rows)))) == sets(near([rows[at] for at in order], config), order)
    assert all(members == sorted(members) for members in once.lists())


def test_nothing_empty_and_wordless_texts_are_like_no_other() -> None:
    assert near([]).lists() == []
    assert near([""]).lists() == []
    assert near(["", "", "!!!", "…", "\0", "\0"]).lists() == []
    assert near(["", "word", "Word!", "other", "\0word\0"]).lists() == [[1, 2, 4]]


def test_unverified_takes_every_candidate() -> None:
    rows = [" ".join([*(f"s{n}" for n in range(80)), *(f"own{row}w{n}" for n in range(20))]) for row in range(3)]
    loose = {"bands": 40, "rows": 1}
    assert near(rows, DedupConfig(**loose)).lists() == []
    assert near(rows, DedupConfig(**loose, verify=False)).lists() == [[0, 1, 2]]


@pytest.mark.parametrize("partners", [1, 3, 1000])
def test_boilerplate_buckets_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch, partners: int) -> None:
    monkeypatch.setattr(cluster, "PARTNERS", partners)
    shared = [f"s{number}" for number in range(80)]  # Jaccard .655: candidates, but no duplicates
    rows = [" ".join([*shared, *(f"own{text}w{number}" for number in range(20))]) for text in range(40)]
    found = near(rows, DedupConfig(bands=4, rows=1))
    assert found.lists() == []
    assert found.pairs <= min(4 * 40 * partners, 40 * 39 // 2)
    assert (found.capped > 0) == (partners < 40)


def test_a_bucket_of_copies_is_compared_once_a_copy() -> None:
    text = " ".join(f"w{number}" for number in range(50))
    found = near([text] * 2000)
    assert found.lists() == [list(range(2000))]
    assert found.pairs == 1999


def test_join_against_plain_union_find() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        forest, groups = cluster.Forest(np.arange(60)), [{node} for node in range(60)]
        for _ in range(4):
            left, right = draw.integers(0, 60, (2, 9))
            forest.join(left, right)
            for one, other in zip(left, right, strict=True):
                merged = groups[one] | groups[other]
                for node in merged:
                    groups[node] = merged
        assert forest.roots(np.arange(60)).tolist() == [min(groups[node]) for node in range(60)]


@pytest.mark.parametrize(("threshold", "recall"), [(0.3, 0.9), (0.5, 0.99), (0.7, 0.99), (0.8, 0.95), (1.0, 0.99)])
def test_derived_scheme_reaches_its_recall(threshold: float, recall: float) -> None:
    scheme = scheme_of(DedupConfig(threshold=threshold, recall=recall))
    assert scheme.chance(threshold) >= recall
    assert scheme.bands * scheme.rows <= 160
    assert scheme_of(DedupConfig(bands=14, rows=8)).chance(0.8) == pytest.approx(0.924, abs=0.001)
    with pytest.raises(ValueError, match="bands and rows go together"):
        DedupConfig(bands=14)


def test_chunked_batches_of_a_table_may_differ_in_type() -> None:
    batches = [pa.array(["one two three"], pa.string()), pa.array(["One, two, three"], pa.large_string())]
    assert find_near(lambda: batches, CONFIG).lists() == [[0, 1]]
