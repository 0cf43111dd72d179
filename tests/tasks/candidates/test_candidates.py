"""Candidates sampled from a tiny model: K a prompt, seeded, resumed by group."""

from pathlib import Path
from typing import Any

import pytest
from tiny_parts import save_models, write_jsonl

from configs.schema.candidates import CandidateConfig
from configs.schema.sources import PromptSource
from tasks.candidate_rows import NAME, read_candidates
from tasks.candidates import sample
from tasks.candidates.sample import sample_candidates
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("parts")
    prompts = write_jsonl(folder / "p.jsonl", [{"prompt": f"q{n}"} for n in range(7)])
    return Inputs(folders=save_models(folder), sources={"p": [prompts]})


def make(inputs: Inputs, root: Path, name: str, work: str, **settings: Any) -> tuple[dict[str, Any], Path]:
    out = root / name
    out.mkdir()
    (root / work).mkdir(exist_ok=True)
    plain = {"prompts": PromptSource(path="p"), "candidates": 3, "max_new_tokens": 5, "batch": 6, "seed": 0}
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

    def killed(*args: Any) -> list[list[str]]:
        calls.append(args[1])
        if args[1] == 2 and len(calls) == 3:
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

    def same(*args: Any) -> list[list[str]]:
        groups = real(*args)
        return [["same"] * 3, *groups[1:]] if args[1] == 0 else groups

    monkeypatch.setattr(sample, "_answer", same)
    found, out = make(inputs, tmp_path, "out", "work")
    assert found["alone"] == 1
    assert read_candidates(out)[0].distinct == ["same"]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not the output of the candidates stage"):
        read_candidates(tmp_path)
    (tmp_path / NAME).write_text("no", encoding="utf-8")
    with pytest.raises(BadData, match="not a sound Parquet file"):
        read_candidates(tmp_path)
