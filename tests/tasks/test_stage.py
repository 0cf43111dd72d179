"""Stages: keys, reuse, force, broken artifacts, resume; on a toy DAG with real child processes and a real store."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from configs.recipe import load_recipe
from configs.schema import STAGES
from configs.schema.strict import Strict, setting
from tasks.failures import BadConfig, LostWorker
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.run import Run, find_run
from tasks.stage import stage
from tasks.stages import ALL, BY_NAME, dependents


class TextConfig(Strict):
    """A text and how to make it."""

    text: str = setting("hello", "What to write.")
    loud: bool = setting(False, "Changes nothing.", keyed=False)
    fail_until: int = setting(0, "Die in the attempts before this one.", keyed=False)


@stage(version=1, makes="text")
def corpus(config: TextConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write a text; attempts are counted in the working folder, which survives a crash."""
    count = live.work / "attempts"
    attempt = int(count.read_text(encoding="ascii")) + 1 if count.exists() else 1
    count.write_text(str(attempt), encoding="ascii")
    if attempt < config.fail_until:
        import os

        os._exit(9)
    (out / "text.txt").write_text(config.text.lower(), encoding="utf-8")
    return {"attempts": attempt}


@stage(version=1, makes="length", needs={"corpus": "corpus"})
def tokenizer(config: TextConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Measure the text of the stage before."""
    length = len((inputs.folders["corpus"] / "text.txt").read_text(encoding="utf-8"))
    (out / "length.txt").write_text(str(length), encoding="utf-8")
    return {"length": length}


@pytest.fixture(autouse=True)
def child_sees_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def begin(forced: tuple[str, ...] = ()) -> Run:
    return Run.begin(load_recipe("nano"), STAGES, forced)


def test_made_then_reused_with_one_digest() -> None:
    first, state = corpus.execute(begin(), TextConfig(), {})
    again, state_again = corpus.execute(begin(), TextConfig(loud=True), {})
    assert (state, state_again) == ("Completed", "Reused")
    assert again == first


def test_who_waited_for_another_run_has_reused_and_not_made() -> None:
    with ThreadPoolExecutor() as pool:
        ends = list(pool.map(lambda run: corpus.execute(run, TextConfig(), {}), [begin() for _ in range(3)]))
    assert sorted(state for _, state in ends) == ["Completed", "Reused", "Reused"]
    assert len({ref for ref, _ in ends}) == 1


def test_forced_runs_again_and_same_bytes_stop_there() -> None:
    run = begin()
    text, _ = corpus.execute(run, TextConfig(), {})
    tokenizer.execute(run, TextConfig(), {"corpus": text})
    forced = begin(("corpus",))
    again, state = corpus.execute(forced, TextConfig(), {})
    _, downstream = tokenizer.execute(forced, TextConfig(), {"corpus": again})
    assert (state, downstream) == ("Completed", "Reused")
    assert again.digest == text.digest
    assert again.uri != text.uri


def test_a_changed_leaf_with_the_same_bytes_stops_there_too() -> None:
    run = begin()
    text, _ = corpus.execute(run, TextConfig(text="hello"), {})
    tokenizer.execute(run, TextConfig(), {"corpus": text})
    shouted, state = corpus.execute(run, TextConfig(text="HELLO"), {})
    assert state == "Completed"
    assert shouted.key != text.key
    assert tokenizer.execute(run, TextConfig(), {"corpus": shouted})[1] == "Reused"


def test_a_broken_artifact_is_made_again() -> None:
    run = begin()
    text, _ = corpus.execute(run, TextConfig(), {})
    (Path(text.uri) / "content" / "text.txt").write_text("hellO", encoding="utf-8")
    again, state = corpus.execute(begin(), TextConfig(), {})
    assert state == "Completed"
    run.store.verify(again)


def test_a_retry_finds_the_working_folder_of_the_attempt_before() -> None:
    run, config = begin(), TextConfig(fail_until=2)
    with pytest.raises(LostWorker):
        corpus.execute(run, config, {})
    assert find_run(None).row("corpus")["state"] == "Failed"
    ref, _ = corpus.execute(run, config, {})
    assert run.store.manifest(ref).metrics == {"attempts": 2}
    assert not (run.store.work("corpus", ref.key) / "attempts").exists()


def test_manifest_tells_where_it_comes_from() -> None:
    run = begin()
    text, _ = corpus.execute(run, TextConfig(), {})
    ref, _ = tokenizer.execute(run, TextConfig(), {"corpus": text})
    manifest = run.store.manifest(ref)
    assert manifest.parents == {"corpus": text}
    assert manifest.metrics == {"length": 5}
    assert manifest.packages["torch"].startswith("2.")


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(BadConfig, match=r"missing \['corpus'\]"):
        tokenizer.check_inputs({})


def test_the_shipped_graph_is_closed_and_ordered() -> None:
    for position, item in enumerate(ALL):
        assert all(BY_NAME[maker] in ALL[:position] for makers in item.needs.values() for maker in makers)
    assert tuple(item.name for item in ALL) == STAGES
    assert dependents("reward") == ["reward", "ppo", "trl", "evaluate", "report"]
    assert dependents("finetune") == ["finetune", "candidates", "rank", "reward", "ppo", "trl", "evaluate", "report"]


@pytest.mark.parametrize(("method", "aligner"), [("ppo", "ppo"), ("dpo", "trl"), ("rloo", "trl")])
def test_the_method_decides_who_aligns(method: str, aligner: str) -> None:
    config = load_recipe("nano", [f"align.method={method}"])
    assert set(STAGES) - set(config.stages) == {"ppo", "trl"} - {aligner}
    assert BY_NAME["evaluate"].makers(config)["aligned"] == BY_NAME["report"].makers(config)["aligned"] == aligner
    assert set(BY_NAME[aligner].makers(config).values()) <= set(config.stages)
