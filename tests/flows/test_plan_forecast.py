"""What `plumbline plan` says of memory and time of ppo."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from configs.recipe import load_recipe
from flows.cli import app
from flows.forecast import ppo_forecast
from flows.plan import plan
from tasks.planner.shape import ModelShape
from tasks.run import open_store

runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PLUMBLINE_STORE", raising=False)


def planned(*changes: str) -> dict:
    arguments = [part for change in changes for part in ("--set", change)]
    done = runner.invoke(app, ["plan", "nano", "--json", *arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["ppo"]


def test_memory_and_flops_without_a_measurement() -> None:
    found = planned()
    nano = ModelShape("llama", 1, 32, 2, 2, 16, 64, 600, 256)
    assert found["parameters"]["base"] == nano.parameters
    assert found["parameters"]["reward"] == nano.trunk_parameters + nano.hidden
    assert found["memory"]["peak"] > found["memory"]["imports"] > 100e6
    assert found["flops"]["total"] == 2 * found["flops"]["iteration"] > 0
    assert found["seconds"] is None
    text = runner.invoke(app, ["plan", "nano"]).stdout
    assert "memory of ppo" in text
    assert "times need a measurement of this machine" in text


def test_settings_change_the_forecast() -> None:
    plain, longer = planned(), planned("ppo.max_new_tokens=64")
    assert longer["memory"]["kv_cache"] > plain["memory"]["kv_cache"]
    assert planned("ppo.rewards=[{function: 'tasks.ppo.verifiable:number_match'}]")["parameters"]["reward"] == 0
    assert planned("reward.method=lora", "reward.members=3", "reward.ensemble=seeds")["parameters"]["reward"] > 0


def test_another_method_has_no_ppo_and_an_unknown_base_a_reason() -> None:
    assert planned("align.method=dpo") is None
    assert "pretrain" in planned("pretrain.base=someone/a-model", "tokenizer.base=someone/a-model")["problem"]


@pytest.mark.slow
def test_a_measured_machine_gives_times_that_are_kept() -> None:
    done = runner.invoke(app, ["plan", "nano", "--measure"])
    assert done.exit_code == 0, done.output
    assert "the stage:" in done.stdout
    found = planned()["seconds"]
    assert 0.0 < found["iteration"] < found["total"] < 600
    config = load_recipe("nano")
    store = open_store(config)
    again = ppo_forecast(store, config, plan(store, config), measure=False)
    assert again is not None
    assert again["seconds"] == found
