"""Pairs, accuracy and length baseline of rankings; the Parquet row."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.failures import BadData
from tasks.rankings import (
    RankedPrompt,
    length_baseline,
    longer_wins,
    pair_accuracy,
    pairs,
    ranked_prompt,
    read_rankings,
    tied_pairs,
    write_rankings,
)

ASK = [{"role": "user", "content": "Why?"}]
rankings = st.lists(st.integers(1, 5), min_size=1, max_size=8)


def item(ranks: list[list[int]], texts: list[str]) -> RankedPrompt:
    return RankedPrompt(ASK, texts, ranks, "test")


def test_k_10_has_45_pairs() -> None:
    assert len(pairs(list(range(1, 11)))) == 45


@given(rankings)
def test_pairs_and_ties_are_all_the_combinations(ranking: list[int]) -> None:
    assert len(pairs(ranking)) + tied_pairs(ranking) == math.comb(len(ranking), 2)
    assert all(ranking[better] < ranking[worse] for better, worse in pairs(ranking))


def test_pair_accuracy_by_hand() -> None:
    # Pairs of (1, 2, 2): first over second, first over third. Scores order one of them right, one is equal.
    assert pair_accuracy([item([[1, 2, 2]], ["a", "b", "c"])], [[1.0, 0.0, 1.0]]) == (0.75, 2)
    # Two annotators who disagree: one pair right, one wrong
    assert pair_accuracy([item([[1, 2], [2, 1]], ["a", "b"])], [[1.0, 0.0]]) == (0.5, 2)


def test_accuracy_without_a_pair_is_not_a_number() -> None:
    accuracy, count = pair_accuracy([item([[1, 1]], ["a", "b"])], [[1.0, 0.0]])
    assert math.isnan(accuracy)
    assert count == 0


@given(rankings, st.data())
def test_negated_scores_turn_the_accuracy_around(ranking: list[int], data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.floats(-3, 3), min_size=len(ranking), max_size=len(ranking)))
    one = [item([ranking], [str(number) for number in range(len(ranking))])]
    accuracy, count = pair_accuracy(one, [scores])
    if count:
        assert accuracy + pair_accuracy(one, [[-score for score in scores]])[0] == pytest.approx(1)


def test_length_baseline_takes_the_better_rule() -> None:
    # Shorter wins twice, longer once
    rows = [item([[1, 2]], ["a", "aa"]), item([[1, 2]], ["b", "bbb"]), item([[1, 2]], ["cc", "c"])]
    assert longer_wins(rows) == pytest.approx(1 / 3)
    assert length_baseline(rows) == pytest.approx(2 / 3)


def test_identical_candidates_are_merged_at_the_better_rank() -> None:
    found = ranked_prompt(ASK, ["x", "y", "x", "z"], [[4, 2, 1, 9]], "test")
    assert found.candidates == ["x", "y", "z"]
    assert found.ranks == [[1, 2, 3]]


def test_ranks_are_counted_from_one_without_gaps() -> None:
    assert ranked_prompt(ASK, ["a", "b", "c"], [[0, 7, 0]], "test").ranks == [[1, 2, 1]]


def test_one_distinct_candidate_is_refused() -> None:
    with pytest.raises(ValueError, match="1 different candidates"):
        ranked_prompt(ASK, ["a", "a"], [[1, 2]], "test")


def test_parquet_round_trip_same_bytes(tmp_path: Path) -> None:
    items = [item([[1, 2], [2, 1]], ["a", "嗯"]), item([[1, 1, 2]], ["", "b", "c"])]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_rankings(tmp_path / name, "train", items)
    assert read_rankings(tmp_path / "one", "train") == items
    assert (tmp_path / "one/train.parquet").read_bytes() == (tmp_path / "two/train.parquet").read_bytes()
    columns = pq.read_schema(tmp_path / "one/train.parquet").names
    assert columns == ["id", "prompt", "candidates", "ranks", "source"]


def test_bad_artifacts_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no heldout\.parquet"):
        read_rankings(tmp_path, "heldout")
    write_rankings(tmp_path, "train", [item([[1, 2, 3]], ["a", "b"])])
    with pytest.raises(BadData, match="row 1 has 2 candidates"):
        read_rankings(tmp_path, "train")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "heldout.parquet")
    with pytest.raises(BadData, match=r"heldout\.parquet"):
        read_rankings(tmp_path, "heldout")
