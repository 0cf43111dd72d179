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
    Ranking,
    length_baseline,
    longer_wins,
    merge_rankings,
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
    return RankedPrompt(ASK, texts, [Ranking(ranking, origin="test") for ranking in ranks])


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
    ranking = Ranking([4, 2, 1, 9], ratings=[0.1, 0.2, 0.3, 0.4], shown=[3, 2, 1, 0], axes={"honest": [1, None, 3, 4]})
    found = ranked_prompt(ASK, ["x", "y", "x", "z"], [ranking, Ranking([1, 2, 0, 0])], ["a", "b", "a", "c"])
    assert found.candidates == ["x", "y", "z"]
    assert found.models == ["a", "b", "c"]
    assert found.ranks == [[1, 2, 3], [1, 2, 0]]
    first = found.rankings[0]
    assert (first.ratings, first.shown, first.axes) == ([0.3, 0.2, 0.4], [1, 2, 0], {"honest": [3, None, 4]})


def test_ranks_are_counted_from_one_without_gaps() -> None:
    assert Ranking.of([0, 7, 0]).ranks == [1, 2, 1]
    assert Ranking.of([-1.5, None, 3]).ranks == [1, 0, 2]
    assert ranked_prompt(ASK, ["a", "b", "c"], [Ranking([3, 0, 9])]).ranks == [[1, 0, 2]]


def test_what_is_not_ranked_gives_no_pair() -> None:
    assert pairs([2, 0, 1, 0]) == [(2, 0)]
    assert tied_pairs([0, 0, 1, 1]) == 1


def test_annotators_of_the_same_candidates_are_merged_whatever_their_order() -> None:
    ann = RankedPrompt(ASK, ["a", "b", "c"], [Ranking([1, 2, 3], "ann", "people", shown=[2, 0, 1])])
    bo = RankedPrompt(ASK, ["c", "a", "b"], [Ranking([3, 1, 2], "bo", "people", shown=[0, 1, 2])])
    judge = RankedPrompt(ASK, ["a", "b", "c"], [Ranking([1, 2, 3], origin="judge:m")])
    other = RankedPrompt(ASK, ["a", "b"], [Ranking([1, 2], "ann", "people")])
    items, left_out = merge_rankings([ann, bo, other, judge, judge])
    assert left_out == 1
    assert [item.candidates for item in items] == [["a", "b", "c"], ["a", "b"]]
    # Equal rankings by two people, and by a judge, are three; bo's are turned to ann's order of the candidates
    assert items[0].ranks == [[1, 2, 3]] * 3
    assert items[0].rankings[1].shown == [1, 2, 0]
    assert [(r.annotator, r.origin) for r in items[0].rankings] == [
        ("ann", "people"),
        ("bo", "people"),
        ("", "judge:m"),
    ]


def test_the_last_ranking_of_an_annotator_counts() -> None:
    again = [RankedPrompt(ASK, ["a", "b"], [Ranking(ranks, "ann", "people")]) for ranks in ([1, 2], [2, 1])]
    items, left_out = merge_rankings(again)
    assert (items[0].ranks, left_out) == ([[2, 1]], 1)


def test_a_comparison_of_two_replaces_only_one_of_the_same_two() -> None:
    ranks = [[1, 2, 0], [1, 0, 2], [2, 1, 0]]
    item = RankedPrompt(
        [{"role": "user", "content": "q"}], ["a", "b", "c"], [Ranking(each, annotator="ann") for each in ranks]
    )
    [merged], left_out = merge_rankings([item])
    assert (merged.ranks, left_out) == ([[2, 1, 0], [1, 0, 2]], 1)


def test_unlike_rankings_without_a_name_are_all_kept() -> None:
    items, left_out = merge_rankings([item([[1, 2]], ["a", "b"]), item([[2, 1], [1, 2]], ["a", "b"])])
    assert (items[0].ranks, left_out) == ([[1, 2], [2, 1]], 1)


def test_one_distinct_candidate_is_refused() -> None:
    with pytest.raises(ValueError, match="1 different candidates"):
        ranked_prompt(ASK, ["a", "a"], [Ranking([1, 2])])


def test_parquet_round_trip_same_bytes(tmp_path: Path) -> None:
    full = Ranking([1, 0, 2], "ann", "people", [0.5, 0.1, 0.2], [2, 1, 0], True, {"honest": [1, None, 5]}, "嗯", 1.5)
    items = [item([[1, 2], [2, 1]], ["a", "嗯"]), RankedPrompt(ASK, ["", "b", "c"], [full], ["m", "n", "m"])]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_rankings(tmp_path / name, "train", items)
    assert read_rankings(tmp_path / "one", "train") == items
    assert (tmp_path / "one/train.parquet").read_bytes() == (tmp_path / "two/train.parquet").read_bytes()
    columns = pq.read_schema(tmp_path / "one/train.parquet").names
    assert columns == ["id", "prompt", "candidates", "models", "rankings"]


def test_bad_artifacts_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no heldout\.parquet"):
        read_rankings(tmp_path, "heldout")
    write_rankings(tmp_path, "train", [item([[1, 2, 3]], ["a", "b"])])
    with pytest.raises(BadData, match="row 1 has 2 candidates"):
        read_rankings(tmp_path, "train")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "heldout.parquet")
    with pytest.raises(BadData, match=r"heldout\.parquet"):
        read_rankings(tmp_path, "heldout")
