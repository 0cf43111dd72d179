"""The reward stage end to end on tiny models: learning, control, start, files, what it refuses."""

import json
import math
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_parts import save_models
from toy_rankings import TEXTS, toy, toy_config

from configs.schema.training import OptimizerConfig
from tasks.chat import load_tokenizer, user
from tasks.failures import BadConfig, BadData, Diverged
from tasks.inputs import Inputs
from tasks.rankings import RankedPrompt, Ranking, pair_accuracy, read_rankings, write_rankings
from tasks.reward.batches import collate, encode_items
from tasks.reward.fit import pass_scores
from tasks.reward.losses import Objective, ranking_loss
from tasks.reward.model import build
from tasks.reward_network import RewardNetwork
from tasks.scoring import encode_answer, load_reward, reward_scores

Run = Callable[..., tuple[dict[str, Any], Path]]
Folders = dict[str, Path]


def opened(out: Path, folders: Folders) -> Any:
    return load_reward(out, base=folders["base"], finetuned=folders["finetuned"])


def heldout_scores(out: Path, folders: Folders) -> list[list[float]]:
    """Scores of the held-out candidates by the saved model, as a later stage takes them."""
    model, tokenizer = opened(out, folders), load_tokenizer(out)
    heldout = read_rankings(folders["rankings"], "heldout")
    limit = model.max_length
    rows = [[encode_answer(tokenizer, item.prompt, text, limit) for text in item.candidates] for item in heldout]
    return [reward_scores(model, row, 0).tolist() for row in rows]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_learns_a_toy_ranking(run: Run, folders: Folders, method: str) -> None:
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
    values = heldout_scores(out, folders)
    heldout = read_rankings(folders["rankings"], "heldout")
    assert pair_accuracy(heldout, values)[0] == pytest.approx(found["pair_accuracy"])
    assert statistics.fmean(one for row in values for one in row) == pytest.approx(found["score_mean"], abs=1e-5)
    files = {path.name for path in out.iterdir()}
    adapter = {"adapter_config.json", "adapter_model.safetensors", "head.safetensors", "reward.json"}
    assert (adapter <= files and "config.json" not in files) == (method == "lora")
    assert {"tokenizer.json", "judgement.json", "training"} <= files


def test_every_readout_learns_and_is_read_back_from_the_folder(run: Run, folders: Folders) -> None:
    for readout in ("mean", "last", "match"):
        found, out = run(readout, f"work-{readout}", epochs=4, readout=readout)
        assert found["pair_accuracy"] > 0.9
        assert opened(out, folders).reading.readout == readout


def test_plackett_luce_learns_too(run: Run) -> None:
    found, out = run(objective="plackett-luce", epochs=6)
    first = json.loads((out / "training/curve.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(math.log(24), abs=1e-5)
    assert found["pair_accuracy"] > 0.9


def test_a_margin_widens_the_gaps(run: Run) -> None:
    plain, _ = run("plain", "work-plain", epochs=6)
    wide, out = run("wide", "work-wide", epochs=6, margin="rank", margin_scale=2.0)
    assert wide["score_std"] > plain["score_std"]
    first = json.loads((out / "training/curve.jsonl").read_text().splitlines()[0])
    # At the start all gaps are 0: distances 1, 2, 3 with 3, 2, 1 pairs
    expected = sum(count * math.log1p(math.exp(2 * distance)) for distance, count in ((1, 3), (2, 2), (3, 1))) / 6
    assert first["loss"] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(BadData, match=r"holds no ratings: set reward\.margin"):
        run("rated", "work-rated", margin="rating")


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


def test_every_candidate_goes_through_the_model_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """48 prompts of 4 candidates: 192 rows an epoch, where pairs would be 48 x 6 x 2 = 576."""
    forward, rows = RewardNetwork.forward, 0

    def counted(model: RewardNetwork, *batch: torch.Tensor) -> torch.Tensor:
        nonlocal rows
        rows += len(batch[0]) if model.training else 0
        return forward(model, *batch)

    monkeypatch.setattr(RewardNetwork, "forward", counted)
    run(epochs=2)
    assert rows == 2 * 48 * 4


def test_a_prompt_in_parts_learns_the_same(run: Run) -> None:
    """Four answers of 27 or 28 tokens: three fit in 84, and each goes alone in 1. A pass is a step otherwise."""
    whole, first = run("whole", "work-whole", epochs=1)
    expected = [json.loads(line) for line in (first / "training/curve.jsonl").read_text().splitlines()]
    assert whole["oversized_prompts"] == 0
    for budget in (84, 1):
        parts, out = run(f"parts{budget}", f"work-{budget}", epochs=1, tokens_per_pass=budget)
        assert parts["oversized_prompts"] == 48
        rows = [json.loads(line) for line in (out / "training/curve.jsonl").read_text().splitlines()]
        assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in expected], abs=1e-5)
        assert [row["grad_norm"] for row in rows] == pytest.approx([row["grad_norm"] for row in expected], rel=1e-3)


@pytest.mark.parametrize("readout", ["last", "mean", "match"])
def test_parts_of_unlike_answers_have_the_same_gradient(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, readout: str
) -> None:
    """Every part is as wide as its own longest answer."""
    tokenizer = load_tokenizer(folders["base"])
    model = build(toy_config(readout=readout), Inputs(folders=folders), tokenizer, 0).model.train()
    torch.nn.init.normal_(model.score.weight, generator=torch.Generator().manual_seed(0))
    texts = ["a" * length for length in (30, 2, 9, 1, 14, 5)]
    items = [RankedPrompt(user("q"), texts, [Ranking([2, 4, 1, 6, 3, 5])])]
    batch = collate(encode_items(tokenizer, items, 64), 0)
    forward, shapes = RewardNetwork.forward, []

    def seen(model: RewardNetwork, *rows: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(rows[0].shape))
        return forward(model, *rows)

    monkeypatch.setattr(RewardNetwork, "forward", seen)
    found = []
    for budget in (10_000, 90):
        model.zero_grad()
        score_BM = pass_scores(model, batch, budget)
        ranking_loss(score_BM, batch, Objective()).backward()
        grads = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
        found.append((score_BM.detach(), grads))
    parts = shapes[1:]
    assert len({width for _, width in parts}) > 1
    assert all(rows * width <= 90 for rows, width in parts)
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[1][1], found[0][1], atol=1e-5, rtol=1e-4)
    assert float(found[0][1].norm()) > 0.01


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_separate_base_stands_by_itself(run: Run, tmp_path: Path, folders: Folders, method: str) -> None:
    """Another architecture with its own tokenizer; the folder needs nothing else."""
    other = save_models(tmp_path / "other", "gpt2")["base"]
    found, out = run(method=method, base=str(other), epochs=4)
    assert found["pair_accuracy"] > 0.8
    model = load_reward(out)
    assert model.reading.base == ""
    values = heldout_scores(out, folders)
    assert statistics.fmean(one for row in values for one in row) == pytest.approx(found["score_mean"], abs=1e-5)
    assert json.loads((out / "config.json").read_text())["model_type"] == "gpt2"
    with pytest.raises(BadConfig, match=r"reward\.max_length=500 exceeds the 128 positions"):
        run("long", "work-long", base=str(other), max_length=500)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("ensemble", ["heads", "seeds"])
def test_an_ensemble_knows_how_sure_it_is(run: Run, folders: Folders, method: str, ensemble: str) -> None:
    found, out = run(method=method, ensemble=ensemble, members=2, epochs=2, normalise="none")
    model, tokenizer = opened(out, folders), load_tokenizer(out)
    assert model.reading.mean == (0.0, 0.0)
    rows = [encode_answer(tokenizer, user("q"), text, 64) for text in TEXTS]
    _, std_B = reward_scores(model, rows, 0, uncertainty=True)
    assert std_B.min() > 0
    assert found["pair_accuracy"] > 0.7
    judged = json.loads((out / "judgement.json").read_text())["ensemble"]
    assert len(judged["members"]) == 2
    assert judged["unanimous"]["pairs"] + judged["divided"]["pairs"] == 24 * 6
    values = heldout_scores(out, folders)
    assert statistics.fmean(one for row in values for one in row) == pytest.approx(found["score_mean"], abs=1e-5)
    # One training or two
    assert found["steps"] == (24 if ensemble == "seeds" else 12)


def reference_scores(out: Path, folders: Folders, best: bool) -> list[float]:
    model, tokenizer = opened(out, folders), load_tokenizer(out)
    train = read_rankings(folders["rankings"], "train")[:5]
    texts = [
        (item.prompt, text)
        for item in train
        for text, rank in zip(item.candidates, item.ranks[0], strict=True)
        if rank == 1 or not best
    ]
    rows = [encode_answer(tokenizer, prompt, text, 64) for prompt, text in texts]
    return list(reward_scores(model, rows, 0).tolist())


@pytest.mark.parametrize(("method", "reference"), [("full", "candidates"), ("lora", "best")])
def test_scores_are_normalised_on_reference_answers(run: Run, folders: Folders, reference: str, method: str) -> None:
    settings = {"method": method, "reference": reference, "reference_prompts": 5, "epochs": 1}
    _, shifted = run("mean", "work-mean", normalise="mean", **settings)
    values = reference_scores(shifted, folders, reference == "best")
    assert statistics.fmean(values) == pytest.approx(0, abs=1e-5)
    reading = opened(shifted, folders).reading
    assert (reading.normalise, reading.reference, reading.count) == ("mean", reference, len(values))
    _, scaled = run("standard", "work-standard", normalise="standard", **settings)
    values = reference_scores(scaled, folders, reference == "best")
    assert statistics.fmean(values) == pytest.approx(0, abs=1e-4)
    assert statistics.pstdev(values) == pytest.approx(1, abs=1e-4)


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


def test_a_prompt_on_both_sides_is_refused(run: Run, tmp_path: Path) -> None:
    """Held out is the prompt: the same question with other candidates is not new."""
    leaky = tmp_path / "leaky"
    leaky.mkdir()
    write_rankings(leaky, "train", toy(8))
    write_rankings(leaky, "heldout", [RankedPrompt(user("q3"), ["other", "answers"], [Ranking([1, 2])])])
    with pytest.raises(BadData, match=r"1 prompts are in train\.parquet and in heldout\.parquet.*q3"):
        run(folders={"rankings": leaky})


def test_all_weights_or_the_adapter_are_trainable(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, inputs = load_tokenizer(folders["base"]), Inputs(folders=folders)
    full = build(toy_config(), inputs, tokenizer, 0)
    total = sum(weight.numel() for weight in full.model.parameters())
    assert sum(weight.numel() for weight in full.trainable.values()) == total
    lora = build(toy_config(method="lora"), inputs, tokenizer, 0)
    assert 32 < sum(weight.numel() for weight in lora.trainable.values()) < total
    # What a merge leaves behind: only the head learns
    monkeypatch.setattr(RewardNetwork, "requires_grad_", lambda model, _: model.trunk.requires_grad_(False))
    with pytest.raises(RuntimeError, match=rf"method=full: \d+ of {total} weights are trainable"):
        build(toy_config(), inputs, tokenizer, 0)
