"""Candidates sampled from a tiny model: K a prompt, seeded, resumed by group."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_parts import save_models, write_jsonl

from configs.schema.candidates import CandidateConfig
from configs.schema.rank import RankConfig
from configs.schema.sources import PromptSource
from tasks.candidate_rows import NAME, read_candidates
from tasks.candidates import sample
from tasks.candidates.finished import Answer
from tasks.candidates.sample import sample_candidates
from tasks.candidates.seeds import answer_seed, shares
from tasks.failures import BadConfig, BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank.build import build_rankings
from tasks.rankings import read_rankings


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("parts")
    prompts = write_jsonl(folder / "p.jsonl", [{"prompt": f"q{n}"} for n in range(7)])
    return Inputs(folders=save_models(folder), sources={"p": [prompts]})


def make(inputs: Inputs, root: Path, name: str, work: str, **settings: Any) -> tuple[dict[str, Any], Path]:
    out = root / name
    out.mkdir()
    (root / work).mkdir(exist_ok=True)
    plain = {
        "prompts": PromptSource(path="p"),
        "candidates": 3,
        "max_new_tokens": 5,
        "batch": 6,
        "seed": 0,
        "seeds": "group",
    }
    return sample_candidates(CandidateConfig(**plain | settings), inputs, out, Live(root / work)), out


def test_k_answers_a_prompt_and_the_same_again(inputs: Inputs, tmp_path: Path) -> None:
    found, out = make(inputs, tmp_path, "one", "work-one")
    assert {name: found[name] for name in ("prompts", "answers")} == {"prompts": 7, "answers": 21}
    items = read_candidates(out)
    assert [item.text for item in items] == [f"q{n}" for n in range(7)]
    assert all(len(item.answers) == 3 for item in items)
    assert found["distinct"] == sum(len(set(item.answers)) for item in items) > 7
    assert [item.seed for item in items] == [0, 0, 1, 1, 2, 2, 3]
    _, again = make(inputs, tmp_path, "two", "work-two")
    assert (out / NAME).read_bytes() == (again / NAME).read_bytes()


def test_another_seed_gives_other_answers(inputs: Inputs, tmp_path: Path) -> None:
    _, out = make(inputs, tmp_path, "one", "work-one")
    _, other = make(inputs, tmp_path, "two", "work-two", seed=1)
    assert [item.answers for item in read_candidates(out)] != [item.answers for item in read_candidates(other)]


def test_a_killed_run_goes_on_with_its_groups(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = make(inputs, tmp_path, "whole", "work-whole")
    answer, calls = sample._answer, []

    def killed(*args: Any) -> list[list[Answer]]:
        calls.append(args[2])
        if args[2] == 2 and len(calls) == 3:
            raise KeyboardInterrupt
        return answer(*args)

    monkeypatch.setattr(sample, "_answer", killed)
    with pytest.raises(KeyboardInterrupt):
        make(inputs, tmp_path, "cut", "work-cut")
    with (tmp_path / "work-cut/candidates.jsonl").open("a") as file:
        file.write('\n{"group": 2, "answ')  # the kill came in the middle of a line
    _, resumed = make(inputs, tmp_path, "resumed", "work-cut")
    assert calls == [0, 1, 2, 2, 3]
    assert (whole / NAME).read_bytes() == (resumed / NAME).read_bytes()


def test_prompts_with_one_answer_are_counted(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sample._answer

    def same(*args: Any) -> list[list[Answer]]:
        groups = real(*args)
        return [[Answer("same", 0, 4, True)] * 3, *groups[1:]] if args[2] == 0 else groups

    monkeypatch.setattr(sample, "_answer", same)
    found, out = make(inputs, tmp_path, "out", "work")
    assert found["alone"] == 1
    assert read_candidates(out)[0].distinct == ["same"]


def test_a_seed_a_group_gives_the_texts_that_it_always_gave(inputs: Inputs, tmp_path: Path) -> None:
    """The recipes nano and quickstart stand on it. The digest is that of the code before there were other seeds."""
    _, out = make(inputs, tmp_path, "one", "work-one")
    texts = json.dumps([item.answers for item in read_candidates(out)])
    known = "7d3de95334bde0fe481787c04b8d7b4d70f495111feac36e2a3a7e091c42568a"
    assert hashlib.sha256(texts.encode()).hexdigest() == known


def test_an_answer_with_a_seed_of_its_own_needs_no_neighbours(inputs: Inputs, tmp_path: Path) -> None:
    _, out = make(inputs, tmp_path, "one", "work-one", seeds="answer")
    _, alone = make(inputs, tmp_path, "two", "work-two", seeds="answer", batch=1)
    items = read_candidates(out)
    assert items == read_candidates(alone)
    seeds = [one.seed for item in items for one in item.sampled]
    assert len(set(seeds)) == 21
    assert seeds[4] == answer_seed(0, 1, 1)
    assert [item.seed for item in items] == [item.sampled[0].seed for item in items]


def test_every_answer_says_how_it_came_about(inputs: Inputs, tmp_path: Path) -> None:
    found, out = make(inputs, tmp_path, "one", "work-one", temperature=0.5, top_p=0.9, top_k=50)
    every = [one for item in read_candidates(out) for one in item.sampled]
    assert {(one.model, one.temperature, one.top_p, one.top_k) for one in every} == {("finetuned", 0.5, 0.9, 50)}
    assert all(0 <= one.tokens <= 5 for one in every)
    assert all(one.finished for one in every if one.tokens < 5)
    assert found["finished"] == sum(one.finished for one in every) / 21


def test_several_models_share_the_answers(inputs: Inputs, tmp_path: Path) -> None:
    base = inputs.folders["base"]
    models = [
        {"name": "tuned", "stage": "finetuned", "share": 2},
        {"name": "plain", "stage": "base"},
        {"name": "folder", "base": str(base)},
    ]
    inner = Inputs(folders=inputs.folders, sources={**inputs.sources, str(base): sorted(base.iterdir())})
    settings: dict[str, Any] = {"candidates": 4, "models": models, "seeds": "answer"}
    _, out = make(inner, tmp_path, "one", "work-one", **settings)
    items = read_candidates(out)
    assert {tuple(item.models) for item in items} == {("tuned", "tuned", "plain", "folder")}
    _, again = make(inner, tmp_path, "two", "work-one", **settings)  # everything is in the working folder
    assert (out / NAME).read_bytes() == (again / NAME).read_bytes()
    # The base by its stage and from its folder are one model: with equal seeds they say the same
    alone = [{"name": "folder", "base": str(base)}]
    _, one = make(inner, tmp_path, "three", "work-three", candidates=2, models=alone, seeds="answer")
    _, two = make(
        inner, tmp_path, "four", "work-four", candidates=2, models=[{"name": "b", "stage": "base"}], seeds="answer"
    )
    assert [item.answers for item in read_candidates(one)] == [item.answers for item in read_candidates(two)]
    with pytest.raises(BadConfig, match="is not a folder"):
        make(
            Inputs(folders=inputs.folders, sources={**inputs.sources, "hub/id": []}),
            tmp_path,
            "five",
            "work-five",
            models=[{"name": "x", "base": "hub/id"}],
        )


def test_equal_answers_are_sampled_again(inputs: Inputs, tmp_path: Path) -> None:
    few: dict[str, Any] = {"max_new_tokens": 1, "candidates": 8, "top_k": 12, "seeds": "answer", "batch": 16}
    plain, _ = make(inputs, tmp_path, "one", "work-one", **few)
    more, out = make(inputs, tmp_path, "two", "work-two", distinct=True, distinct_tries=10, **few)
    assert plain["distinct"] < more["distinct"]
    for item in read_candidates(out):
        assert len(item.answers) == 8
    seeds = [one.seed for item in read_candidates(out) for one in item.sampled]
    assert len(set(seeds)) == len(seeds)


def test_models_reach_the_rankings(inputs: Inputs, tmp_path: Path) -> None:
    models = [{"name": "tuned", "stage": "finetuned"}, {"name": "plain", "stage": "base"}]
    _, out = make(inputs, tmp_path, "one", "work-one", candidates=4, models=models, seeds="answer")
    ranked, work = tmp_path / "ranked", tmp_path / "work-rank"
    ranked.mkdir()
    work.mkdir()
    build_rankings(RankConfig(ranker="shortest"), Inputs(folders={"candidates": out}), ranked, Live(work))
    for item in read_rankings(ranked, "train"):
        assert set(item.models) <= {"tuned", "plain"}
        assert len(item.models) == len(item.candidates)
    wins = json.loads((ranked / "trust.json").read_text())["models"]
    assert {one["name"] for one in wins} == {"tuned", "plain"}
    assert sum(one["wins"]["value"] for one in wins) == pytest.approx(1)


@given(st.integers(1, 40), st.lists(st.floats(0.1, 10), min_size=1, max_size=6))
def test_shares_add_up(count: int, parts: list[float]) -> None:
    count = max(count, len(parts))
    found = shares(count, parts)
    assert sum(found) == count
    assert min(found) >= 1
    assert shares(10, [1.0, 1.0, 2.0]) == [3, 2, 5]
    assert shares(4, [1.0, 1.0, 1.0, 9.0]) == [1, 1, 1, 1]


def test_contradictory_models_are_refused() -> None:
    for models, words in (
        ([{"name": "a"}], "set one of"),
        ([{"name": "a", "stage": "base"}, {"name": "a", "stage": "finetuned"}], "one name"),
        ([{"name": str(n), "stage": "base"} for n in range(3)], "3 models share"),
    ):
        with pytest.raises(ValueError, match=words):
            CandidateConfig(prompts=PromptSource(path="p"), candidates=2, models=models)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not the output of the candidates stage"):
        read_candidates(tmp_path)
    (tmp_path / NAME).write_text("no", encoding="utf-8")
    with pytest.raises(BadData, match="not a sound Parquet file"):
        read_candidates(tmp_path)
