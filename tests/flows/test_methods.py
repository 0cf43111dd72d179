"""Every method of alignment on one start: what is before is reused, what is after takes any of them."""

import json
from pathlib import Path

import pytest

from flows.compare import print_comparison
from flows.show import open_run_artifact
from tasks.models import load_chat_model
from tasks.run import RunRecord, find_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]
METHODS = ("ppo", "dpo", "kto", "grpo", "rloo")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for the module: the tests below run in order and build on the first run."""
    return tmp_path_factory.mktemp("methods-home")


@pytest.fixture(autouse=True)
def shared_home(home: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.setenv("PLUMBLINE_HOME", str(home))


def run(method: str) -> RunRecord:
    from flows.align import align

    align("nano", overrides=[f"align.method={method}"])
    return find_run(None)


def test_the_methods_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run(method) for method in METHODS]
    assert {row["state"] for row in runs[0].stages} == {"Completed"}
    for record in runs[1:]:
        states = {row["name"]: row["state"] for row in record.stages}
        assert [name for name, state in states.items() if state == "Completed"] == ["trl", "evaluate", "report"]
        assert "ppo" not in states
        folders = [open_run_artifact(record, stage) for stage in ("pretrain", "finetune", "trl")]
        assert load_chat_model(*folders).config.hidden_size == 32
        page = (open_run_artifact(record, "report") / "index.html").read_text(encoding="utf-8")
        assert f"{record.row('trl')['metrics']['method'].upper()}: learning" in page
    capsys.readouterr()
    print_comparison([record.run for record in runs], markdown=False, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in found["rows"]] == list(METHODS)
    assert len({round(row["reward_start"], 4) for row in found["rows"]}) == 1, (
        "one start, the same questions and random numbers"
    )
    assert found["notes"] == []


def test_the_same_method_again_is_reused() -> None:
    assert {row["state"] for row in run("rloo").stages} == {"Reused"}
