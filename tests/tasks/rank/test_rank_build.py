"""The rank stage on data sets: split by prompt, report, quarantine."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema.rank import RankConfig
from configs.schema.sources import RankingSource
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank.build import build_rankings, split_by_prompt
from tasks.rankings import RankedPrompt, Ranking, read_rankings


def rows(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"q{n}", "candidates": ["a", "bb", "ccc"], "ranks": [[1, 2, 2]]} for n in range(count)]


def build(tmp_path: Path, lines: list[Any], **settings: Any) -> tuple[dict[str, Any], Path]:
    file, out, work = tmp_path / "r.jsonl", tmp_path / "out", tmp_path / "work"
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    out.mkdir()
    work.mkdir()
    source = RankingSource(path="p", **settings.pop("source", {}))
    config = RankConfig(sources=[source], seed=3, **settings)
    return build_rankings(config, Inputs(sources={"p": [file]}), out, Live(work)), out


def test_counts_add_up(tmp_path: Path) -> None:
    found, out = build(tmp_path, [*rows(20), rows(1)[0], "{", {"prompt": "x", "candidates": ["a"], "ranks": [1]}])
    assert found == {
        "prompts": 20,
        "heldout_prompts": 2,
        "pairs": 40,
        "quarantined": 2,
        "candidates_sampled": 0,
        "length_baseline": 1.0,
        # Nobody says who ranked
        **dict.fromkeys(["flagged", "kendall_w", "krippendorff_alpha", "cycles"]),
        "annotators": 0,
    }
    report = json.loads((out / "report.json").read_text())
    assert report["candidates_per_prompt"] == {"3": 20}
    assert (report["tied_pairs"], report["duplicates"], report["longer_wins"]) == (20, 1, 0.0)
    assert report["origins"] == {"r.jsonl": 20}
    quarantine = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["file"], row["line"]) for row in quarantine] == [("r.jsonl", 22), ("r.jsonl", 23)]
    assert quarantine[1]["error"].startswith("1 different candidates")
    assert report["quarantine_reasons"] == {
        "1 different candidates, a ranking needs 2": 1,
        "invalid JSON": 1,
    }
    assert len(read_rankings(out, "train")) == 18
    assert len(read_rankings(out, "heldout")) == 2


def test_same_input_same_bytes_and_no_paths(tmp_path: Path) -> None:
    outs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        outs.append(build(tmp_path / name, rows(9))[1])
    files = sorted(path.name for path in outs[0].iterdir())
    assert files == ["heldout.parquet", "quarantine.jsonl", "report.json", "train.parquet", "trust.json"]
    for name in files:
        content = (outs[0] / name).read_bytes()
        assert content == (outs[1] / name).read_bytes()
        assert str(tmp_path).encode() not in content


prompts = st.lists(st.integers(0, 30).map(str), min_size=2, max_size=60)


@given(prompts, st.floats(0.01, 0.99), st.randoms(use_true_random=False))
def test_a_prompt_is_on_one_side_only(names: list[str], share: float, random: Any) -> None:
    items = [
        RankedPrompt([{"role": "user", "content": name}], [str(at), "b"], [Ranking([1, 2])])
        for at, name in enumerate(names)
    ]
    if len(set(names)) < 2:
        with pytest.raises(BadData, match="2 are needed"):
            split_by_prompt(items, share, 0)
        return
    train, heldout = split_by_prompt(items, share, 0)
    sides = [{item.prompt_key for item in side} for side in (train, heldout)]
    assert not sides[0] & sides[1]
    assert sides[0]
    assert sides[1]
    assert len(train) + len(heldout) == len(items)
    shuffled = random.sample(items, len(items))
    assert {item.prompt_key for item in split_by_prompt(shuffled, share, 0)[1]} == sides[1]


def test_max_prompts_is_a_seeded_draw_in_file_order(tmp_path: Path) -> None:
    found, out = build(tmp_path, rows(40), source={"max_prompts": 10})
    assert found["prompts"] == 10
    numbers = [int(item.prompt[0]["content"][1:]) for item in read_rankings(out, "train")]
    assert numbers == sorted(numbers)
    assert numbers != list(range(len(numbers)))


def test_a_file_without_rankings_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"p: no rankings; the first of 1: r\.jsonl:1: not one rank a candidate: 2 cand"):
        build(tmp_path, [{"prompt": "q", "candidates": ["a", "b"], "ranks": [1]}])


def test_only_ties_give_no_length_baseline(tmp_path: Path) -> None:
    tied = [{"prompt": f"q{n}", "candidates": ["a", "b"], "ranks": [1, 1]} for n in range(4)]
    found, _ = build(tmp_path, tied)
    assert found["length_baseline"] is None
    assert found["pairs"] == 0


def test_answers_judged_alone_are_kept_beside_the_rankings(tmp_path: Path) -> None:
    judged = [(f"q{at}", f"a{kind}", kind == 0) for at in range(3) for kind in range(2)] + [("x", "y", False)]
    lines = [{"prompt": prompt, "completion": answer, "label": label} for prompt, answer, label in judged]
    found, out = build(tmp_path, lines)
    assert found["prompts"] == 3
    assert json.loads((out / "report.json").read_text())["unpaired"] == 1
    prompt = [{"role": "user", "content": "x"}]
    assert pq.read_table(out / "unpaired.parquet").to_pylist() == [
        {"prompt": prompt, "answer": "y", "desirable": False}
    ]
