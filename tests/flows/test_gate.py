"""The gate before PPO: what passes, what it says, and that nothing is lost when it refuses."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.recipe import load_recipe, shipped
from configs.schema import keyed_fields
from configs.schema.align import world_paths
from configs.schema.reward import GateConfig
from flows.gate import pass_gate, shortfall
from flows.plan import plan
from tasks.artifacts.ref import ArtifactRef, Draft
from tasks.failures import FAILURES, Refused
from tasks.run import Run, find_run
from tasks.stages import BY_NAME

METRICS: dict[str, Any] = {
    "pair_accuracy": 0.586,
    "pair_accuracy_low": 0.51,
    "pair_accuracy_high": 0.66,
    "length_baseline": 0.583,
    "length_baseline_low": 0.52,
    "length_baseline_high": 0.64,
    "heldout_pairs": 228,
    "heldout_prompts": 160,
}


def begin(*changes: str) -> Run:
    return Run.begin(load_recipe("quickstart", list(changes)), ["reward", "ppo"])


def committed(run: Run, metrics: dict[str, Any], stage: str = "reward", key: str = "0" * 64) -> ArtifactRef:
    """An artifact with these metrics in the run's store; its files are those that a recipe asks the world for."""
    with run.store.lease(stage, key) as lease:
        out = run.store.stage_out(lease)
        for _, path in world_paths(run.config):
            (out / path.removeprefix("world:")).write_text(stage)
        draft = Draft(stage=stage, version=1, kind=stage, key=key, parents={}, sources=[], config={}, metrics=metrics)
        return run.store.commit(out, draft, lease)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_it_passes_exactly_what_beats_length_by_the_margin(accuracy: float, length: float, margin: float) -> None:
    said = shortfall(GateConfig(margin=margin), {"pair_accuracy": accuracy, "length_baseline": length})
    assert (said == "") == (accuracy >= length + margin)


def test_the_message_names_both_values_their_intervals_and_the_settings() -> None:
    said = shortfall(GateConfig(), METRICS)
    for part in ("58.6% (95 %: 51.0% to 66.0%)", "58.3% (95 %: 52.0% to 64.0%)", "228", "160 prompts"):
        assert part in said
    assert "reward.gate.margin=0.02" in said
    assert "reward.gate.refuse=false" in said


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_is_not_known_does_not_pass(value: float | None) -> None:
    assert shortfall(GateConfig(), {**METRICS, "pair_accuracy": value})
    assert shortfall(GateConfig(), {})


def test_a_refused_reward_model_stays_and_the_record_says_why() -> None:
    run = begin()
    ref = committed(run, METRICS)
    with pytest.raises(Refused, match=r"length alone 58\.3%"):
        pass_gate(run, run.config.reward.gate, ref)
    run.store.verify(ref)
    row = find_run(None).row("ppo")
    assert row["state"] == "Failed"
    assert "length alone" in row["error"]
    # Told to, it goes on with the same artifact, and says what it lacks
    said: list[str] = []

    class Ear:
        def started(self, stage: str) -> None: ...

        def finished(self, stage: str, row: dict[str, Any]) -> None: ...

        def event(self, stage: str, event: dict[str, Any]) -> None:
            said.append(event["text"])

    again = begin("reward.gate.refuse=false")
    again.listeners.append(Ear())
    assert pass_gate(again, again.config.reward.gate, ref) == ref
    assert "goes on, since reward.gate.refuse=false" in said[0]
    lower = begin("reward.gate.margin=0.001")
    assert pass_gate(lower, lower.config.reward.gate, ref) == ref
    assert len(said) == 1


def test_it_is_not_retried_and_changes_no_key() -> None:
    assert FAILURES["Refused"] is Refused
    assert not Refused.transient
    changed = load_recipe("quickstart", ["reward.gate.margin=0.3", "reward.gate.refuse=false"])
    assert keyed_fields(changed.reward) == keyed_fields(load_recipe("quickstart").reward)


def test_the_plan_says_that_ppo_would_be_refused() -> None:
    """Every stage up to the reward model is in the store under the key that the recipe gives it."""
    run = begin()
    for name in list(BY_NAME)[: list(BY_NAME).index("ppo")]:
        step = next(step for step in plan(run.store, run.config) if step.name == name)
        assert step.key is not None
        committed(run, METRICS if name == "reward" else {}, name, step.key)
    step = next(step for step in plan(run.store, run.config) if step.name == "ppo")
    assert step.action == "refused"
    assert step.problem is not None
    assert "length alone" in step.problem


def test_the_quickstart_is_gated_and_recipes_that_are_not_say_why() -> None:
    assert load_recipe("quickstart").reward.gate.refuse
    for name in shipped():
        text = (Path(__file__).parents[2] / "configs" / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if "refuse: false" in line:
                assert lines[number - 1].strip().startswith("#"), f"{name}.yaml:{number + 1}"
