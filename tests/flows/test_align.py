"""The whole DAG on the nano recipe, inside Prefect's test harness: run, reuse, rerun, change one leaf, force."""

import json
from pathlib import Path

import pytest

from configs.schema import STAGES
from flows.history import wait_until_recorded
from tasks.run import RunRecord, find_run, open_store, records

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for the module: the tests below run in order and build on the first run."""
    return tmp_path_factory.mktemp("align-home")


@pytest.fixture(autouse=True)
def shared_home(home: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.setenv("PLUMBLINE_HOME", str(home))


def run(*changes: str, **parameters: object) -> RunRecord:
    from flows.align import align

    align("nano", overrides=list(changes), **parameters)
    return find_run(None)


def states(record: RunRecord) -> dict[str, str]:
    return {row["name"]: row["state"] for row in record.stages}


def executed(record: RunRecord) -> list[str]:
    return [name for name, state in states(record).items() if state == "Completed"]


def test_first_run_makes_every_stage() -> None:
    record = run()
    assert record.state == "Completed"
    assert executed(record) == list(STAGES)
    metrics = {row["name"]: row["metrics"] for row in record.stages}
    expected = {
        "corpus": "documents_in kept duplicates rejected quarantined pii_masked",
        "pretrain": "perplexity_start perplexity",
        "finetune": "instruction_following_start instruction_following",
        "reward": "pair_accuracy length_baseline",
        "ppo": "reward_start reward rubric_start rubric kl",
    }
    for stage, names in expected.items():
        for name in names.split():
            assert isinstance(metrics[stage][name], (int, float)), f"{stage}.{name}"
    assert metrics["pretrain"]["perplexity"] < metrics["pretrain"]["perplexity_start"]


def test_planted_items_are_counted() -> None:
    corpus = find_run(None).row("corpus")["metrics"]
    assert corpus["duplicates"] == 12
    assert corpus["rejected"] == 16
    assert corpus["pii_masked"] == 6
    assert corpus["quarantined"] == 2


def test_second_run_reuses_everything_and_prefect_says_so() -> None:
    from prefect.client.orchestration import get_client

    first = find_run(None)
    record = run()
    assert set(states(record).values()) == {"Reused"}
    assert [row["artifact"] for row in record.stages] == [row["artifact"] for row in first.stages]
    assert wait_until_recorded(record.flow_run)
    with get_client(sync_client=True) as client:
        runs = [task for task in client.read_task_runs() if str(task.flow_run_id) == record.flow_run]
    assert {task.state.name for task in runs} == {"Reused"}
    assert {task.name.split("-")[0] for task in runs} == set(STAGES)


def test_rerun_from_reward_runs_exactly_what_depends_on_it() -> None:
    before = {row["name"]: row["artifact"] for row in find_run(None).stages}
    record = run(rerun_from="reward")
    assert executed(record) == ["reward", "ppo", "evaluate", "report"]
    assert {row["name"]: row["artifact"] for row in record.stages} == before, "the same seed gives the same bytes"


def test_the_gate_refuses_before_ppo_and_the_reward_model_is_kept() -> None:
    """Trained for seconds, the reward model of nano does not beat length; its recipe goes on all the same."""
    from flows.ppo import ppo
    from tasks.failures import Refused

    with pytest.raises(Refused, match=r"length alone .*or set reward\.gate\.refuse=false"):
        run("reward.gate.refuse=true")
    record = find_run(None)
    assert (record.state, states(record)["reward"], states(record)["ppo"]) == ("Failed", "Reused", "Failed")
    assert "length alone" in record.row("ppo")["error"]
    with pytest.raises(Refused):
        ppo("nano", overrides=["reward.gate.refuse=true"])
    assert executed(run()) == []


def test_one_leaf_of_finetune_changes_exactly_its_dependents() -> None:
    record = run("finetune.lora.alpha=16")
    assert executed(record) == ["finetune", "candidates", "rank", "reward", "ppo", "evaluate", "report"]


def test_force_of_one_stage_stops_where_bytes_are_equal() -> None:
    assert executed(run(force=["tokenizer"])) == ["tokenizer"]


def test_a_single_stage_flow_reuses_and_forces() -> None:
    from flows.tokenizer import tokenizer

    tokenizer("nano")
    assert states(find_run(None)) == {"tokenizer": "Reused"}
    tokenizer("nano", force=True)
    assert states(find_run(None)) == {"tokenizer": "Completed"}


def test_a_single_stage_flow_names_the_missing_input() -> None:
    from flows.reward import reward
    from tasks.failures import BadConfig

    with pytest.raises(BadConfig, match="reward needs pretrain"):
        reward("nano", overrides=["seed=99"])


def test_every_artifact_verifies_and_the_report_is_one_file() -> None:
    from tasks.artifacts import verify_store

    assert verify_store(open_store()) == []
    uri = Path(next(row["uri"] for record in reversed(records()) for row in record.stages if row["name"] == "report"))
    page = (uri / "content" / "index.html").read_text(encoding="utf-8")
    assert "<svg" in page
    for outside in ('src="http', 'href="http', "<script src", "@import"):
        assert outside not in page
    summary = json.loads((uri / "content" / "summary.json").read_text(encoding="utf-8"))
    assert summary["stages"]["ppo"]["kl"] is not None


def test_status_json_has_the_promised_shape(capsys: pytest.CaptureFixture[str]) -> None:
    from flows.status import print_status

    run()
    print_status(None, as_json=True)
    status = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in status["stages"]] == list(STAGES)
    for row in status["stages"]:
        assert set(row) >= {"name", "state", "seconds", "artifact", "metrics"}


def test_chat_answers_with_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    from flows.talk import talk

    for model in ("base", "finetuned", "aligned"):
        talk(None, "Write a sad story in which a sparrow finds a rope.", model, 0.0, 8)
    assert len(capsys.readouterr().out.splitlines()) >= 3
