"""Retries inside Prefect's engine: what may pass is tried again and goes on, what is bad stays bad."""

from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from configs.recipe import load_recipe
from configs.schema.strict import Strict, setting
from flows.engine import open_run
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.run import find_run
from tasks.stage import stage

pytestmark = pytest.mark.usefixtures("prefect_server")


class FaultConfig(Strict):
    """How the first attempt ends."""

    fault: str = setting("killed", "killed, or bad data.")


@stage(version=1, makes="text")
def corpus(config: FaultConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Count the attempts in the working folder, which survives them; the first one fails."""
    count = live.work / "attempts"
    attempt = int(count.read_text(encoding="ascii")) + 1 if count.exists() else 1
    count.write_text(str(attempt), encoding="ascii")
    if attempt == 1 and config.fault == "killed":
        import os

        os._exit(9)
    if config.fault == "bad data":
        raise BadData(f"rows.jsonl:3: attempt {attempt}")
    (out / "text.txt").write_text("done", encoding="utf-8")
    return {"attempts": attempt}


@flow
def one_stage(fault: str) -> ArtifactRef:
    """The toy stage alone."""
    with open_run(load_recipe("nano"), only="corpus") as run:
        return corpus(run, FaultConfig(fault=fault))


@pytest.fixture(autouse=True)
def child_sees_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def test_a_lost_worker_is_tried_again_and_goes_on() -> None:
    one_stage("killed")
    row = find_run(None).row("corpus")
    assert row["state"] == "Completed"
    assert row["metrics"] == {"attempts": 2}


def test_bad_data_is_not_tried_again() -> None:
    with pytest.raises(BadData, match=r"rows\.jsonl:3: attempt 1"):
        one_stage("bad data")
    assert find_run(None).row("corpus")["error"] == "BadData: rows.jsonl:3: attempt 1"
