"""The reward stage end to end on tiny models: learning, control, resume, start, files."""

import json
import math
import os
import random
import signal
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_parts import save_models

import tasks.reward.train as stage
from configs.schema.reward import RewardConfig
from configs.schema.training import CheckpointConfig, OptimizerConfig
from tasks.chat import load_tokenizer, user
from tasks.failures import BadData, Diverged, LostWorker
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rankings import RankedPrompt, Ranking, pair_accuracy, read_rankings, write_rankings
from tasks.reward.model import build_reward_model, make_trainable
from tasks.scoring import encode_answer, load_reward, reward_scores

Run = Callable[..., tuple[dict[str, Any], Path]]


def toy(count: int, first: int = 0) -> list[RankedPrompt]:
    """More of the letter a is better; the lengths are equal, and equal candidates of the four tie."""
    texts = ["zzzz", "azzz", "aazz", "aaaz"]
    orders = [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0], [1, 0, 3, 2]]
    items = []
    for n in range(first, first + count):
        order = orders[n % 4]
        items.append(RankedPrompt(user(f"q{n}"), [texts[at] for at in order], [Ranking([4 - at for at in order])]))
    return items


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = save_models(tmp_path_factory.mktemp("llama"))
    found["rankings"] = tmp_path_factory.mktemp("rankings")
    write_rankings(found["rankings"], "train", toy(48))
    write_rankings(found["rankings"], "heldout", toy(24, first=100))
    return found


@pytest.fixture
def run(tmp_path: Path, folders: dict[str, Path]) -> Run:
    tiny = folders

    def start(
        name: str = "out", work: str = "work", folders: dict[str, Path] = folders, **settings: Any
    ) -> tuple[dict[str, Any], Path]:
        out = tmp_path / name
        out.mkdir()
        (tmp_path / work).mkdir(exist_ok=True)
        config = RewardConfig(
            **{
                "seed": 0,
                "epochs": 3,
                "optimizer": OptimizerConfig(learning_rate=5e-3, warmup_steps=2),
                "checkpoint": CheckpointConfig(every=3),
                "max_length": 64,
                **settings,
            }
        )
        inputs = Inputs(folders={**tiny, **folders})
        return stage.train_reward(config, inputs, out, Live(tmp_path / work)), out

    return start


@pytest.mark.parametrize("method", ["full", "lora"])
def test_learns_a_toy_ranking(run: Run, folders: dict[str, Path], method: str) -> None:
    found, out = run(method=method, epochs=6)
    assert found["pair_accuracy_start"] == 0.5
    assert found["pair_accuracy"] > 0.9
    assert found["heldout_pairs"] == 24 * 6
    assert found["length_baseline"] == 0.5
    curve = [json.loads(line) for line in (out / "training/curve.jsonl").read_text().splitlines()]
    assert len(curve) == found["steps"] == 36
    assert [row["step"] for row in curve] == list(range(1, 37))
    # A zero head scores everything alike: the first loss is ln 2, the first accuracy a half
    assert curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert curve[0]["accuracy"] == 0.5
    assert curve[-1]["heldout_accuracy"] == found["pair_accuracy"]
    assert json.loads((out / "probes.json").read_text()) == {}
    # What is saved is what was measured, read by the shared loader
    model, tokenizer = load_reward(out), load_tokenizer(out)
    heldout = read_rankings(folders["rankings"], "heldout")
    rows = [[encode_answer(tokenizer, item.prompt, text, 64) for text in item.candidates] for item in heldout]
    values = [reward_scores(model, row, 0).tolist() for row in rows]
    assert pair_accuracy(heldout, values)[0] == pytest.approx(found["pair_accuracy"])


def test_both_readouts_learn_and_are_read_back_from_the_folder(run: Run) -> None:
    for readout in ("mean", "last", "match"):
        found, out = run(readout, f"work-{readout}", epochs=4, readout=readout)
        assert found["pair_accuracy"] > 0.9
        assert load_reward(out).config.plumbline_readout == readout


def test_plackett_luce_learns_too(run: Run) -> None:
    found, out = run(objective="plackett-luce", epochs=6)
    first = json.loads((out / "training/curve.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(math.log(24), abs=1e-5)
    assert found["pair_accuracy"] > 0.9


def test_shuffled_labels_teach_nothing(run: Run, tmp_path: Path) -> None:
    rng, many = random.Random(0), tmp_path / "many"
    many.mkdir()
    for side, count in (("train", 96), ("heldout", 48)):
        texts = [["".join(rng.choices("abcd", k=6)) for _ in range(4)] for _ in range(count)]
        ranks = [[1 + 6 - text.count("a") for text in row] for row in texts]
        items = [RankedPrompt(user(f"{side}{n}"), texts[n], [Ranking(ranks[n])]) for n in range(count)]
        write_rankings(many, side, items)  # type: ignore[arg-type]
    straight, _ = run("straight", "work-straight", epochs=2, folders={"rankings": many})
    assert straight["pair_accuracy"] > 0.85
    # One run follows the noise it was given, which likes or dislikes the letter by luck: the mean is a half
    found = [
        run(f"out{seed}", f"work{seed}", epochs=2, shuffle_labels=True, seed=seed, folders={"rankings": many})[0]
        for seed in range(4)
    ]
    assert statistics.fmean(metrics["pair_accuracy"] for metrics in found) == pytest.approx(0.5, abs=0.2)
    assert min(metrics["loss"] for metrics in found) > straight["loss"] + 0.1


def test_same_seed_same_bytes_after_a_kill(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = run("whole", "work-whole")
    step = stage._step

    def killed(*args: Any) -> dict[str, float]:
        if args[-1] == 11:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(stage, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run("cut", "work-cut")
    monkeypatch.setattr(stage, "_step", step)
    _, resumed = run("resumed", "work-cut")
    events = (resumed.parent / "work-cut/events.jsonl").read_text()
    assert '"event": "start_at", "done": 9' in events
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(resumed) for path in resumed.rglob("*") if path.is_file())
    for name in files:
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name
        assert str(whole.parent).encode() not in (whole / name).read_bytes()


@pytest.mark.parametrize("asked", [5, 18])
def test_asked_to_stop_it_saves_and_goes_on_to_the_bit(run: Run, monkeypatch: pytest.MonkeyPatch, asked: int) -> None:
    settings = {"checkpoint": CheckpointConfig(every=100)}
    _, whole = run("whole", "work-whole", **settings)
    step = stage._step

    def stopped(*args: Any) -> dict[str, float]:
        if args[-1] == asked:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(*args)

    monkeypatch.setattr(stage, "_step", stopped)
    with pytest.raises(LostWorker, match=f"step {asked} is saved"):
        run("cut", "work-cut", **settings)
    monkeypatch.setattr(stage, "_step", step)
    _, resumed = run("resumed", "work-cut", **settings)
    for name in sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file()):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name


def test_lora_with_dropout_resumes_bit_equal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"method": "lora", "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.2}, "epochs": 1}
    _, whole = run("whole", "work-whole", **settings)
    step = stage._step

    def killed(*args: Any) -> dict[str, float]:
        if args[-1] == 5:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(stage, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run("cut", "work-cut", **settings)
    monkeypatch.setattr(stage, "_step", step)
    _, resumed = run("resumed", "work-cut", **settings)
    name = "model.safetensors"
    assert (whole / name).read_bytes() == (resumed / name).read_bytes()


def test_not_finite_is_diverged(run: Run) -> None:
    with pytest.raises(Diverged, match=r"reward step \d+: .*lower reward\.optimizer\.learning_rate \(now 1e\+38\)"):
        run(optimizer=OptimizerConfig(learning_rate=1e38, warmup_steps=0))


def test_only_ties_are_bad_data(run: Run, tmp_path: Path) -> None:
    tied = tmp_path / "tied"
    tied.mkdir()
    write_rankings(tied, "train", toy(4))
    write_rankings(tied, "heldout", [RankedPrompt(user("q"), ["a", "b"], [Ranking([1, 1])])])
    with pytest.raises(BadData, match=r"heldout\.parquet holds no pair"):
        run(folders={"rankings": tied})


def test_all_weights_or_the_adapter_are_trainable(tmp_path: Path) -> None:
    folders = save_models(tmp_path)
    tokenizer = load_tokenizer(folders["base"])
    model = build_reward_model(folders["base"], folders["finetuned"], tokenizer)
    total = sum(weight.numel() for weight in model.parameters())
    assert make_trainable(model, RewardConfig())[1] == total
    # What a merge leaves behind: only the head learns
    model.base_model.requires_grad_(False)
    with pytest.raises(RuntimeError, match=rf"method=full: 32 of {total} weights are trainable"):
        make_trainable(model, RewardConfig())
    model = build_reward_model(folders["base"], folders["finetuned"], tokenizer)
    _, count = make_trainable(model, RewardConfig(method="lora"))
    assert 32 < count < total
