"""plumbline compare, on recorded runs."""

import json
from typing import Any

import pytest

from configs.recipe import load_recipe
from flows.compare import HEADINGS, print_comparison
from tasks.failures import BadConfig
from tasks.run import Run

FIGURES: dict[str, Any] = {
    "reward_start": 0.5, "reward": 1.25, "kl": 4.0, "rubric_start": 3.0, "rubric": 3.5, "length_start": 30.0,
    "length": 31.0, "ended_start": 0.9, "ended": 1.0, "trainable_parameters": 12_345,
}  # fmt: skip


def _run(by: str, digest: str = "d", *changes: str, **metrics: Any) -> str:
    config = load_recipe("nano", [f"align.method={by}", *changes])
    run = Run.begin(config, config.stages)
    for stage in ("finetune", "reward", config.aligner, "evaluate"):
        values = {config.aligner: {**FIGURES, **metrics}, "evaluate": {"win_rate": 0.75, "perplexity_aligned": 3.0}}
        row = run.record.row(stage)
        row.update(state="Completed", kind="x", key="k", artifact=digest, uri=f"{run.store.root}/artifacts/x/{stage}")
        row["metrics"] = values.get(stage, {})
    run.end("Completed")
    return run.record.run


def test_one_row_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    ppo, dpo = _run("ppo", iterations=2), _run("dpo", method="dpo", steps=100, preferred=0.8)
    print_comparison([ppo, dpo], markdown=False, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in found["rows"]] == ["ppo", "dpo"]
    assert [row["steps"] for row in found["rows"]] == [4, 100], "2 iterations of 1 epoch of 2 minibatches"
    assert found["rows"][1]["wins"] == 0.75
    assert found["notes"] == []
    print_comparison([ppo, dpo], markdown=True, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"| {' | '.join(HEADINGS)} |"
    assert lines[3].startswith("| dpo | 0.5 → 1.25 | 4 | 75% | 3 → 3.5 | 30 → 31 | 90% → 100% | – → 3 | 80% | 100 |")
    print_comparison([ppo, dpo], markdown=False, as_json=False)
    assert f"next: plumbline diff {ppo} {dpo}" in capsys.readouterr().out


def test_what_cannot_be_compared_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = _run("ppo"), _run("rloo", "another", "trl.temperature=0.5", method="rloo")
    print_comparison([one, two], markdown=True, as_json=False)
    said = capsys.readouterr().out
    assert "not the same finetune artifact in all runs" in said
    assert "not the same reward artifact in all runs" in said
    assert "not the same temperature in all runs: 0.5 and 1.0" in said


def test_a_run_that_aligned_nothing_is_refused() -> None:
    run = Run.begin(load_recipe("nano"), ["world", "corpus"])
    run.end("Completed")
    with pytest.raises(BadConfig, match="has no artifact of ppo or trl"):
        print_comparison([run.record.run], markdown=False, as_json=False)
