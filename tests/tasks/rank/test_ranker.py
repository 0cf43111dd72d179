"""Candidates ranked by a program: the rubric, or length; and the rank stage on them."""

import json
from pathlib import Path

import pytest

from configs.schema.rank import RankConfig
from tasks.candidate_rows import Candidates, write_candidates
from tasks.chat import user
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank.build import build_rankings
from tasks.rank.ranker import rank_answers, rank_by_program
from tasks.rankings import Ranking, read_rankings

PROMPT = "Write a happy story about a fox and a bell."


def test_rubric_ranks_high_scores_first_and_ties_equal_ones() -> None:
    right = (
        "The happy fox and the bell.\nOne morning a fox named Pip came to the hill. There the fox found a red bell. "
        "The fox washed the bell. The fox danced, for the bell was a gift."
    )
    texts = ["junk", right, f"Gladly! {right}", "more junk", right.replace("fox", "mole")]
    assert rank_answers("rubric", PROMPT, texts) == [4, 2, 1, 4, 3]


def test_shortest_ranks_by_characters() -> None:
    assert rank_answers("shortest", "q", ["abc", "", "xyz", "a"]) == [3, 1, 3, 2]


def test_rubric_refuses_other_prompts() -> None:
    with pytest.raises(BadConfig, match=r"set rank\.ranker=shortest"):
        rank_answers("rubric", "What?", ["a", "b"])


def test_prompts_with_one_answer_give_no_ranking() -> None:
    items = [Candidates(user("a"), ["x", "x", "x"], 0), Candidates(user("b"), ["xx", "y", "xx"], 0)]
    (ranked,) = rank_by_program("shortest", items)
    assert (ranked.candidates, ranked.rankings) == (["xx", "y"], [Ranking([2, 1], origin="shortest")])


def test_the_stage_ranks_candidates_beside_data_sets(tmp_path: Path) -> None:
    write_candidates(tmp_path, [Candidates(user(f"q{n}"), ["long", "s", "long"], 0) for n in range(6)])
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    config = RankConfig(ranker="shortest", seed=0)
    found = build_rankings(config, Inputs(folders={"candidates": tmp_path}), out, Live(work))
    assert (found["prompts"], found["candidates_sampled"]) == (6, 18)
    items = read_rankings(out, "train") + read_rankings(out, "heldout")
    assert all(item.rankings == [Ranking([2, 1], origin="shortest")] for item in items)
    report = json.loads((out / "report.json").read_text())
    assert report["sampled"] == {"prompts": 6, "answers": 18, "distinct": 12, "alone": 0}
