"""The trl stage on tiny folders: each method learns a toy preference, writes what PPO writes, and resumes exactly."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel
from trl_parts import TrlParts

from configs.schema.ppo_parts import RewardPart
from configs.schema.training import CheckpointConfig, LoraSettings, OptimizerConfig
from tasks.chat import encode_prompt, user
from tasks.failures import BadConfig, BadData, Diverged, LostWorker
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.perplexity import token_nats
from tasks.rankings import RankedPrompt, Ranking, write_rankings
from tasks.trl_methods.train import train_trl

LETTER_A = 4  # the first token after the special ones


class Killed(Exception):
    """Stands for SIGKILL after the work of a step."""


@dataclass
class DyingLive(Live):
    """Dies when the given step reports."""

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


def _check_artifact(parts: TrlParts, out: Path, metrics: dict[str, Any], steps: int) -> PreTrainedModel:
    """What the ppo stage promises too; returns the model, opened as evaluate opens it."""
    json.dumps(metrics, allow_nan=False)
    rows = _rows(out / "training" / "curve.jsonl")
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    assert {"loss", "lr", "gradient_norm"} <= set(rows[0])
    assert len(_rows(out / "samples.jsonl")) == metrics["heldout_prompts"] == 2
    names = {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "samples.jsonl"}
    assert names <= set(_digests(out))
    assert metrics["kl"] > 0
    assert {"reward_start", "reward", "length_start", "ended", "flags", "answer_perplexity"} <= set(metrics)
    folders = parts.inputs.folders
    return load_chat_model(folders["base"], folders["finetuned"], out)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_preference_is_learned_from_rankings(parts: TrlParts, tmp_path: Path, method: str) -> None:
    out, live = _folder(tmp_path / "out"), Live(_folder(tmp_path / "work"))
    metrics = train_trl(parts.config(method, steps=12, batch=16), parts.inputs, out, live)
    assert metrics["method"] == method
    assert metrics["margin"] > 1.0
    assert metrics["preferred"] == 1.0
    aligned = _check_artifact(parts, out, metrics, 12)
    head = encode_prompt(parts.tokenizer, user("k k"))
    nats = token_nats(aligned, [[*head, LETTER_A], [*head, LETTER_A + 1]], 0, masks=[[0] * len(head) + [1]] * 2)
    assert nats[0] < nats[1], "a has become likelier than b"


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_a_reward_is_learned_from_answers(parts: TrlParts, tmp_path: Path, method: str) -> None:
    out, live = _folder(tmp_path / "out"), Live(_folder(tmp_path / "work"))
    config = parts.config(
        method, steps=20, batch=32, beta=0.0, optimizer=OptimizerConfig(learning_rate=2e-2, warmup_steps=0)
    )
    metrics = train_trl(config, parts.inputs, out, live)
    assert metrics["method"] == method
    _check_artifact(parts, out, metrics, 20)
    curve = _rows(out / "training" / "curve.jsonl")
    assert {"reward", "reward_std", "entropy", "length", "ended"} <= set(curve[0])
    assert curve[-1]["reward"] > curve[0]["reward"] + 0.3
    assert metrics["reward"] > metrics["reward_start"] + 0.3


@pytest.mark.parametrize(("method", "changes"), [("dpo", {}), ("kto", {}), ("grpo", {"reuse": 2}), ("rloo", {})])
def test_killed_and_resumed_is_uninterrupted(
    parts: TrlParts, tmp_path: Path, method: str, changes: dict[str, Any]
) -> None:
    """The adapter, the curve, the samples: the same bytes, whatever the global generators were at."""
    config = parts.config(method, **changes)
    whole, again = _folder(tmp_path / "whole"), _folder(tmp_path / "again")
    uninterrupted = train_trl(config, parts.inputs, whole, Live(_folder(tmp_path / "work1")))
    work = _folder(tmp_path / "work2")
    with pytest.raises(Killed):
        train_trl(config, parts.inputs, _folder(tmp_path / "lost"), DyingLive(work, dies_at=3))
    torch.manual_seed(12345)
    assert train_trl(config, parts.inputs, again, Live(work)) == uninterrupted
    assert _digests(again) == _digests(whole)
    saved = 2 if changes else 3
    assert f'"event": "start_at", "done": {saved}' in (work / "events.jsonl").read_text(encoding="utf-8")


def test_a_damaged_checkpoint_is_not_read(parts: TrlParts, tmp_path: Path) -> None:
    """Neither the newest, of which a byte was turned, nor a finished run: the one before gives the same bytes."""
    config, work = parts.config("dpo"), _folder(tmp_path / "work")
    whole, again = _folder(tmp_path / "whole"), _folder(tmp_path / "again")
    first = train_trl(config, parts.inputs, whole, Live(work))
    newest = max((work / "checkpoints").iterdir()) / "tensors.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert train_trl(config, parts.inputs, again, Live(work)) == first
    assert _digests(again) == _digests(whole)
    last = _folder(tmp_path / "last")
    assert train_trl(config, parts.inputs, last, Live(work)) == first, "after its last step it only measures"
    assert _digests(last) == _digests(whole)


def test_asked_to_stop_it_saves(parts: TrlParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.checkpoint.StopRequest.agreed", lambda self: True)
    config, work = parts.config("dpo", checkpoint=CheckpointConfig(every=100)), _folder(tmp_path / "work")
    with pytest.raises(LostWorker, match="step 1 is saved"):
        train_trl(config, parts.inputs, _folder(tmp_path / "torn"), Live(work))
    assert (work / "checkpoints" / "step-00000001").is_dir()


def test_a_broken_loss_is_named(parts: TrlParts, tmp_path: Path) -> None:
    config = parts.config("dpo", optimizer=OptimizerConfig(learning_rate=1e30, warmup_steps=0, clip=1e30))
    with pytest.raises(Diverged, match=r"lower trl\.optimizer\.learning_rate=1e\+30"):
        train_trl(config, parts.inputs, _folder(tmp_path / "out"), Live(_folder(tmp_path / "work")))


def test_what_cannot_be_learned_is_refused(parts: TrlParts, tmp_path: Path) -> None:
    tied = _folder(tmp_path / "tied")
    items = [RankedPrompt(user("c"), ["a", "b"], [Ranking([1, 1])])]
    write_rankings(tied, "train", items)
    write_rankings(tied, "heldout", items)
    inputs = Inputs(folders={**parts.inputs.folders, "rankings": tied}, sources=parts.inputs.sources)
    live = Live(_folder(tmp_path / "work"))
    with pytest.raises(BadData, match=r"align\.method=dpo without pairs: 1 ranked prompts"):
        train_trl(parts.config("dpo"), inputs, tmp_path, live)
    with pytest.raises(BadData, match=r"align\.method=kto needs desirable and undesirable answers, there are none"):
        train_trl(parts.config("kto"), inputs, tmp_path, live)
    with pytest.raises(BadConfig, match=r"trl\.lora\.targets names lm_head"):
        train_trl(parts.config("dpo", lora=LoraSettings(targets=["lm_head"])), parts.inputs, tmp_path, live)
    lost = parts.config("grpo", rewards=[RewardPart(function="trl_parts:nothing")])
    with pytest.raises(BadConfig, match=r"trl\.rewards\.0\.function='trl_parts:nothing'"):
        train_trl(lost, parts.inputs, tmp_path, live)


def test_the_reward_model_pays(parts: TrlParts, tmp_path: Path) -> None:
    """GRPO with the reward stage's folder and a function beside it: both are in the curve."""
    rewards = [RewardPart(model="reward"), RewardPart(function="trl_parts:share_of_a", weight=2.0)]
    out = _folder(tmp_path / "out")
    config = parts.config("grpo", steps=1, rewards=rewards)
    train_trl(config, parts.inputs, out, Live(_folder(tmp_path / "work")))
    row = _rows(out / "training" / "curve.jsonl")[0]
    assert row["reward"] == pytest.approx(row["reward_model"] + 2 * row["reward_share_of_a"], abs=1e-4)
    assert row["kl"] == pytest.approx(0.0, abs=1e-6), "the first answers are the start model's"
