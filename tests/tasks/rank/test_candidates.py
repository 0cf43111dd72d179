"""Candidates sampled from a tiny model: ranked by program, seeded, resumed by group."""

from pathlib import Path
from typing import Any

import pytest
from tiny_parts import save_models, write_jsonl

from configs.schema.rank import CandidateConfig, RankConfig
from configs.schema.sources import PromptSource
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank import candidates
from tasks.rank.build import build_rankings
from tasks.rank.candidates import rank_answers
from tasks.rankings import read_rankings

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
    with pytest.raises(BadConfig, match="set `ranker: shortest`"):
        rank_answers("rubric", "What?", ["a", "b"])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("parts")
    prompts = write_jsonl(folder / "p.jsonl", [{"prompt": f"q{n}"} for n in range(7)])
    return Inputs(folders=save_models(folder), sources={"p": [prompts]})


def build(inputs: Inputs, root: Path, name: str, work: str, **settings: Any) -> tuple[dict[str, Any], Path]:
    out = root / name
    out.mkdir()
    (root / work).mkdir(exist_ok=True)
    sampled = CandidateConfig(
        **{"prompts": PromptSource(path="p"), "candidates": 3, "max_new_tokens": 5, "ranker": "shortest", "batch": 6}
        | settings
    )
    config = RankConfig(sampled=sampled, seed=0)
    return build_rankings(config, inputs, out, Live(root / work)), out


def test_k_answers_a_prompt_and_the_same_again(inputs: Inputs, tmp_path: Path) -> None:
    found, out = build(inputs, tmp_path, "one", "work-one")
    assert found["candidates_sampled"] == 21
    assert found["prompts"] == 7
    items = read_rankings(out, "train") + read_rankings(out, "heldout")
    assert all(2 <= len(item.candidates) <= 3 and item.source == "sampled" for item in items)
    assert len({text for item in items for text in item.candidates}) > 7
    _, again = build(inputs, tmp_path, "two", "work-two")
    assert (out / "train.parquet").read_bytes() == (again / "train.parquet").read_bytes()


def test_a_killed_run_goes_on_with_its_groups(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = build(inputs, tmp_path, "whole", "work-whole")
    answer, calls = candidates._answer, []

    def killed(*args: Any) -> list[list[str]]:
        calls.append(args[2])
        if args[2] == 2 and len(calls) == 3:
            raise KeyboardInterrupt
        return answer(*args)

    monkeypatch.setattr(candidates, "_answer", killed)
    with pytest.raises(KeyboardInterrupt):
        build(inputs, tmp_path, "cut", "work-cut")
    with (tmp_path / "work-cut/candidates.jsonl").open("a") as file:
        file.write('\n{"group": 2, "answ')  # the kill came in the middle of a line
    _, resumed = build(inputs, tmp_path, "resumed", "work-cut")
    assert calls == [0, 1, 2, 2, 3]
    for name in ("train.parquet", "heldout.parquet", "report.json"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes()


def test_prompts_with_one_answer_are_left_out(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = candidates._answer

    def same(*args: Any) -> list[list[str]]:
        groups = real(*args)
        return [["same"] * 3, *groups[1:]] if args[2] == 0 else groups

    monkeypatch.setattr(candidates, "_answer", same)
    found, out = build(inputs, tmp_path, "out", "work")
    assert found["prompts"] == 6
    assert '"alone": 1' in (out / "report.json").read_text()
