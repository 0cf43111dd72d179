"""The stage function on tiny folders: output, resume, limits, inputs."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from dying_runs import StopsAt
from ppo_parts import Parts
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from configs.schema.ppo import KlConfig
from configs.schema.sources import PromptSource
from configs.schema.training import CheckpointConfig
from tasks.chat import user
from tasks.failures import BadConfig, BadData, Diverged, LostWorker
from tasks.heldout import Measurement, metrics_of
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.perplexity import token_nats
from tasks.ppo.learner import Learner
from tasks.ppo.train import train_ppo
from tasks.prompt_sets import load_prompts
from tasks.reward_model import RewardModel, finite


class Killed(Exception):
    """Stands for SIGKILL after the work of an iteration."""


@dataclass
class DyingLive(Live):
    """Dies when the given iteration reports."""

    dies_at: int = 0

    def progress(self, done: int, total: int, unit: str, **values: float) -> None:
        if done == self.dies_at:
            raise Killed


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_output_and_metrics(parts: Parts, tmp_path: Path) -> None:
    out = _folder(tmp_path / "out")
    metrics = train_ppo(parts.config(), parts.inputs, out, Live(_folder(tmp_path / "work")))
    expected = {"adapter_config.json", "adapter_model.safetensors", "critic.safetensors", "samples.jsonl"}
    assert expected | {"tokenizer.json", "tokenizer_config.json", "training/curve.jsonl"} <= set(_digests(out))
    curve = _rows(out / "training" / "curve.jsonl")
    assert [row["step"] for row in curve] == [1, 2, 3, 4]
    assert curve[0]["kl"] == 0.0
    assert all(row["entropy"] >= 0 and 0 <= row["ended"] <= 1 for row in curve)
    assert {"loss", "reward", "beta", "approx_kl", "clip_fraction", "explained_variance", "length"} <= set(curve[0])
    assert metrics["iterations"] == 4
    assert metrics["stopped"] == ""
    assert (metrics["prompts"], metrics["heldout_prompts"], metrics["prompts_left_out"]) == (18, 2, 0)
    assert metrics["reward"] != metrics["reward_start"]
    assert "rubric" not in metrics
    json.dumps(metrics, allow_nan=False)
    assert len(_rows(out / "samples.jsonl")) == 2
    folders = parts.inputs.folders
    aligned = load_chat_model(folders["base"], folders["finetuned"], out)
    tuned = load_chat_model(folders["base"], folders["finetuned"])
    ids = torch.tensor([[5, 6, 7]])
    assert float((aligned(ids).logits - tuned(ids).logits).abs().max()) > 1e-3


@pytest.mark.parametrize(("every", "dies_at"), [(1, 1), (1, 3), (2, 3), (1, 4)])
def test_killed_and_resumed_is_uninterrupted(parts: Parts, tmp_path: Path, every: int, dies_at: int) -> None:
    """Policy, critic, both optimisers, adapted beta, reward scale, prompt cursor: the same bytes in the end."""
    config = parts.config(
        kl=KlConfig(beta=0.1, target=2.0, horizon=20), checkpoint=CheckpointConfig(every=every), reward_clip=1.0
    )
    whole, again = _folder(tmp_path / "whole"), _folder(tmp_path / "again")
    uninterrupted = train_ppo(config, parts.inputs, whole, Live(_folder(tmp_path / "work1")))
    work = _folder(tmp_path / "work2")
    with pytest.raises(Killed):
        train_ppo(config, parts.inputs, _folder(tmp_path / "lost"), DyingLive(work, dies_at=dies_at))
    torch.manual_seed(12345)  # another process, another state of the global generators
    resumed = train_ppo(config, parts.inputs, again, Live(work))
    assert _digests(again) == _digests(whole)
    assert resumed == uninterrupted
    assert resumed["beta"] != 0.1
    said = (work / "events.jsonl").read_text(encoding="utf-8")
    assert f'"event": "start_at", "done": {dies_at // every * every}' in said


@pytest.mark.parametrize("asked", [1, 3])
def test_asked_to_stop_it_saves_and_goes_on_to_the_bit(parts: Parts, tmp_path: Path, asked: int) -> None:
    config = parts.config(checkpoint=CheckpointConfig(every=100))
    whole, again = _folder(tmp_path / "whole"), _folder(tmp_path / "again")
    uninterrupted = train_ppo(config, parts.inputs, whole, Live(_folder(tmp_path / "work1")))
    stopping = StopsAt(_folder(tmp_path / "work2"))
    stopping.at = asked
    with pytest.raises(LostWorker, match=f"iteration {asked + 1} is saved after 1 of 4 steps"):
        train_ppo(config, parts.inputs, _folder(tmp_path / "torn"), stopping)
    assert train_ppo(config, parts.inputs, again, Live(stopping.work)) == uninterrupted
    assert _digests(again) == _digests(whole)


def test_checkpoint_brings_everything_back(parts: Parts, tmp_path: Path) -> None:
    config = parts.config(iterations=2, checkpoint=CheckpointConfig(every=2))
    train_ppo(config, parts.inputs, _folder(tmp_path / "out"), Live(_folder(tmp_path / "work")))
    folders = parts.inputs.folders
    learner = Learner.create(config, load_chat_model(folders["base"], folders["finetuned"]))
    assert learner.restore(tmp_path / "work" / "checkpoints")
    assert (learner.iteration, learner.cursor, len(learner.curve)) == (2, 12, 2)
    assert learner.scale is not None
    assert learner.start is not None
    for optimizer in (learner.policy_optimizer, learner.critic_optimizer):
        steps = {float(state["step"]) for state in optimizer.state_dict()["state"].values()}
        assert steps == {8.0}  # 2 iterations x 2 epochs x 2 minibatches
    critic = load_file(tmp_path / "out" / "critic.safetensors")
    assert all(torch.equal(param, critic[name]) for name, param in learner.critic.trained().items())


def test_kl_limit_stops_early_and_says_so(parts: Parts, tmp_path: Path) -> None:
    config = parts.config(kl=KlConfig(beta=0.0, limit=1e-9), learning_rate=0.05, iterations=50)
    live = Live(_folder(tmp_path / "work"))
    out = _folder(tmp_path / "out")
    metrics = train_ppo(config, parts.inputs, out, live)
    assert metrics["iterations"] < 50
    assert "ppo.kl.limit=1e-09" in metrics["stopped"]
    assert len(_rows(out / "training" / "curve.jsonl")) == metrics["iterations"]
    assert "stopped: KL" in (live.work / "events.jsonl").read_text(encoding="utf-8")


def test_score_is_the_reward_model_s_own(parts: Parts) -> None:
    """Re-tokenised with the reward model's tokenizer, which is not the policy's; padding plays no part."""
    reward = RewardModel(parts.inputs.folders["reward"])
    classifier = AutoModelForSequenceClassification.from_pretrained(parts.inputs.folders["reward"], dtype="float32")
    text = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
    prompts, answers = ["say the ab", "cd"], ["singing the thing", ""]
    scores = reward([user(prompt) for prompt in prompts], answers)
    for prompt, answer, score in zip(prompts, answers, scores.tolist(), strict=True):
        ids = reward.tokenizer(text.format(prompt, answer), add_special_tokens=False)["input_ids"]
        assert ids != parts.tokenizer(text.format(prompt, answer), add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            own = classifier(torch.tensor([ids])).logits.item()
        assert score == pytest.approx(own, abs=1e-5)
    assert not reward.model.training
    assert all(param.grad is None and not param.requires_grad for param in reward.model.parameters())


def test_long_conversations_are_cut_at_the_left(parts: Parts) -> None:
    reward = RewardModel(parts.inputs.folders["reward"])
    assert torch.isfinite(reward([user("x" * 500)], ["the end"])).all()
    assert float(reward([user("x" * 500)], ["the end"])) == float(reward([user("y" + "x" * 600)], ["the end"]))


def test_a_score_that_is_not_finite_names_its_prompt() -> None:
    with pytest.raises(Diverged, match=r"gave nan to an answer to 'second'"):
        finite(torch.tensor([1.0, float("nan")]), ["first", "second"])


def _with_prompts(parts: Parts, tmp_path: Path, **files: list[str]) -> Inputs:
    sources = {}
    for name, texts in files.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts), encoding="utf-8")
        sources[name] = [path]
    return Inputs(folders=parts.inputs.folders, sources=sources)


def test_held_out_prompts_are_never_trained_on(parts: Parts, tmp_path: Path) -> None:
    inputs = _with_prompts(parts, tmp_path, train=["a", "b", "c", "b"], held=["b", "d"])
    config = parts.config(prompts=PromptSource(path="train"), heldout=PromptSource(path="held"))
    sets = load_prompts(config, inputs, parts.tokenizer, None)
    assert [prompt.text for prompt in sets.train] == ["a", "c"]
    assert [prompt.text for prompt in sets.heldout] == ["b", "d"]
    sets = load_prompts(parts.config(), parts.inputs, parts.tokenizer, None)
    assert len(sets.heldout) == 2
    assert not {prompt.text for prompt in sets.heldout} & {prompt.text for prompt in sets.train}


def test_long_prompts_are_left_out_and_counted(parts: Parts, tmp_path: Path) -> None:
    inputs = _with_prompts(parts, tmp_path, train=["a", "x" * 60, "b", "c"], held=["d"])
    config = parts.config(prompts=PromptSource(path="train"), heldout=PromptSource(path="held"))
    sets = load_prompts(config, inputs, parts.tokenizer, None)
    assert [prompt.text for prompt in sets.train] == ["a", "b", "c"]
    assert sets.left_out == 1
    with pytest.raises(BadData, match=r"ppo\.prompts.*ppo\.max_prompt_tokens=2"):
        load_prompts(config.model_copy(update={"max_prompt_tokens": 2}), inputs, parts.tokenizer, None)


def test_conversations_are_prompts_and_their_other_keys_are_columns(parts: Parts, tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    path = tmp_path / "talk.jsonl"
    rows = [{"prompt": talk, "answer": "7"}, {"prompt": "d"}, {"prompt": "e", "answer": "8"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    inputs = Inputs(folders=parts.inputs.folders, sources={"talk": [path]})
    train = PromptSource(path="talk", max_prompts=2)
    config = parts.config(prompts=train, heldout=PromptSource(path="talk", skip_rows=2), max_prompt_tokens=90)
    sets = load_prompts(config, inputs, parts.tokenizer, None)
    assert [(prompt.text, prompt.columns) for prompt in sets.train] == [("c", {"answer": "7"}), ("d", {})]
    assert sets.train[0].turns == talk
    assert parts.tokenizer.decode(sets.train[0].ids).count("<|im_start|>") == 4
    assert [(prompt.text, prompt.columns) for prompt in sets.heldout] == [("e", {"answer": "8"})]


def test_lengths_beyond_the_model_are_refused(parts: Parts, tmp_path: Path) -> None:
    config = parts.config(max_prompt_tokens=100, max_new_tokens=29)
    with pytest.raises(BadConfig, match=r"max_prompt_tokens=100 \+ ppo\.max_new_tokens=29 exceed the model's 128"):
        train_ppo(config, parts.inputs, _folder(tmp_path / "out"), Live(_folder(tmp_path / "work")))


def _measurement(**changes: object) -> Measurement:
    values: dict[str, Any] = {
        "answers": ["a", "b"],
        "ids": [[1, 2], [3, 4]],
        "ended": [True, True],
        "score": [0.0, 2.0],
        "rubric": [4.0, 5.0],
        "kl": [0.0, 0.0],
    }
    return Measurement(**{**values, **changes})


def test_metrics_hand_worked() -> None:
    end = _measurement(score=[1.0, 4.0], kl=[2.0, 4.0], rubric=[5.0, 5.0])
    metrics = metrics_of(_measurement(), end)
    assert (metrics["reward_start"], metrics["reward"], metrics["reward_start_std"]) == (1.0, 2.5, 1.0)
    assert (metrics["rubric_start"], metrics["rubric"], metrics["kl"]) == (4.5, 5.0, 3.0)
    assert metrics["flags"] == []


def test_over_optimisation_is_flagged() -> None:
    end = _measurement(score=[3.0, 4.0], rubric=[1.0, 2.0], ids=[[1] * 9, [2] * 9], ended=[True, False])
    flags = metrics_of(_measurement(), end)["flags"]
    assert [flag.split()[0] for flag in flags] == ["reward", "mean", "the"]


def test_answer_perplexity_is_that_of_the_base_model(parts: Parts, tmp_path: Path) -> None:
    """Against nats of whole rows minus nats of their prompts, by the shared perplexity code."""
    from tasks.models import load_base
    from tasks.ppo.heldout import answer_perplexity

    sets = load_prompts(parts.config(), parts.inputs, parts.tokenizer, None)
    found = _measurement(ids=[[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]])
    model = load_base(parts.inputs.folders["base"])
    perplexity = answer_perplexity(model, parts.config(), sets.heldout, found, 0, torch.device("cpu"))
    prompts = [prompt.ids for prompt in sets.heldout for _ in range(2)]
    rows = [prompt + answer for prompt, answer in zip(prompts, found.ids, strict=True)]
    nats = sum(token_nats(model, rows, 0)) - sum(token_nats(model, prompts, 0))
    assert perplexity == pytest.approx(float(torch.tensor(nats / 10).exp()), rel=1e-4)
