"""The finetune stage on a tiny model: loss equal to a plain loop's, exact resume, base untouched."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from dying_runs import DiesAt, Killed, StopsAt, content, new_folder
from torch.nn import functional as F

from configs.schema.finetune import FinetuneConfig
from tasks.adapter import new_adapter
from tasks.artifacts.ref import ArtifactRef
from tasks.chat import copy_tokenizer, load_tokenizer, user
from tasks.failures import BadConfig, BadData, Diverged, LostWorker
from tasks.finetune.examples import encode, split
from tasks.finetune.train import finetune
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_base, load_chat_model, pad_batch
from tasks.order import DataOrder
from tasks.schedule import warmup_cosine

TINY: dict[str, Any] = {
    "sources": [{"path": "rows"}],
    "heldout": 4,
    "steps": 5,
    "batch": 4,
    "max_length": 60,
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.1},
    "optimizer": {"learning_rate": 1e-2, "warmup_steps": 2},
    "checkpoint": {"every": 2},
    "max_new_tokens": 6,
    "seed": 5,
}


@pytest.fixture
def inputs(make_model: Callable[..., Any], tokenizer_folder: Path, tmp_path: Path, stories: list[str]) -> Inputs:
    base = new_folder(tmp_path, "base")
    make_model().save_pretrained(base)
    copy_tokenizer(tokenizer_folder, base)
    rows = tmp_path / "rows.jsonl"
    lines = [{"messages": [*user(f"Tell {n}"), {"role": "assistant", "content": stories[n]}]} for n in range(24)]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"messages": 3}\n')
    ref = ArtifactRef(kind="model", key="k", digest="d" * 64, uri="here")
    return Inputs(folders={"base": base}, refs={"base": ref}, sources={"rows": [rows]})


def test_it_learns_and_says_what_it_did(inputs: Inputs, tmp_path: Path) -> None:
    base = inputs.folders["base"]
    before = hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()
    out, work = new_folder(tmp_path, "out"), new_folder(tmp_path, "work")
    metrics = finetune(FinetuneConfig(**{**TINY, "steps": 40}), inputs, out, Live(work))
    assert metrics["response_perplexity"] < 0.5 * metrics["response_perplexity_start"]
    assert {"instruction_following", "instruction_following_start"} < metrics.keys()
    assert (metrics["examples"], metrics["heldout"], metrics["quarantined"], metrics["too_long"]) == (20, 4, 1, 0)
    # rank 4 on q, k, v, o (32 in and out) and gate, up, down (32 and 64) of two layers
    assert metrics["trainable_parameters"] == 2 * 4 * (4 * (32 + 32) + 3 * (32 + 64))
    assert hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest() == before
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "sha256:" + "d" * 64
    (bad,) = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert bad == {"file": "rows.jsonl", "line": 25, "error": "no messages"}
    curve = [json.loads(line) for line in (out / "training" / "curve.jsonl").read_text().splitlines()]
    assert [row["step"] for row in curve] == list(range(1, 41))
    for row in curve:
        assert row["lr"] == pytest.approx(1e-2 * warmup_cosine(row["step"] - 1, 40, 2, 0.1), rel=1e-4)
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == 4
    assert samples[0].keys() == {"prompt", "base", "finetuned", "base_follows", "finetuned_follows"}
    written = {path.name for path in out.iterdir()}
    assert not any("README" in name or name.startswith("checkpoint") for name in written)
    assert (out / "tokenizer.json").is_file()


def test_the_trainer_takes_the_steps_of_a_plain_loop(inputs: Inputs, tmp_path: Path) -> None:
    """Loss over the assistant's tokens of the batch divided by their number, AdamW, clipping, our schedule."""
    config = FinetuneConfig(**{**TINY, "lora": {"rank": 4, "alpha": 8}})
    out = new_folder(tmp_path, "out")
    finetune(config, inputs, out, Live(new_folder(tmp_path, "work")))
    base = inputs.folders["base"]
    tokenizer = load_tokenizer(base)
    rows = [json.loads(line)["messages"] for line in inputs.sources["rows"][0].read_text().splitlines()[:-1]]
    examples = split(encode(tokenizer, rows, 60)[0], 4, 5, None).train
    model = new_adapter(load_base(base), config.lora, 5)
    params = [param for param in model.parameters() if param.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0)
    order = DataOrder(len(examples), 4, 5)
    losses = []
    for step in range(5):
        chosen = [examples[index] for index in order.step(step)]
        ids_BT, mask_BT = pad_batch([example.ids for example in chosen], 0)
        label_BT = pad_batch([example.labels for example in chosen], -100)[0]
        logit_BTV = model(input_ids=ids_BT, attention_mask=mask_BT).logits
        loss = F.cross_entropy(logit_BTV[:, :-1].flatten(0, 1), label_BT[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * warmup_cosine(step, 5, 2, 0.1)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    curve = [json.loads(line) for line in (out / "training" / "curve.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in curve] == pytest.approx(losses, rel=1e-4)
    ids = torch.tensor([examples[0].ids])
    with torch.no_grad():
        difference = (load_chat_model(base, out)(ids).logits - model.eval()(ids).logits).abs().max()
    assert difference < 1e-2


@pytest.mark.parametrize("died", [1, 3, 4, 5])
def test_killed_and_resumed_is_the_same_to_the_bit(inputs: Inputs, tmp_path: Path, died: int) -> None:
    """With dropout in the adapter, so that the random numbers have to go on as well."""
    config = FinetuneConfig(**TINY)
    whole, out = new_folder(tmp_path, "whole"), new_folder(tmp_path, "out")
    torch.manual_seed(1)
    expected = finetune(config, inputs, whole, Live(new_folder(tmp_path, "work1")))
    dying = DiesAt(new_folder(tmp_path, "work2"))
    dying.at = died
    with pytest.raises(Killed):
        finetune(config, inputs, new_folder(tmp_path, "torn"), dying)
    torch.manual_seed(12345)
    assert finetune(config, inputs, out, Live(dying.work)) == expected
    assert content(out) == content(whole)


@pytest.mark.parametrize("asked", [1, 4])
def test_asked_to_stop_it_saves_and_goes_on_to_the_bit(inputs: Inputs, tmp_path: Path, asked: int) -> None:
    config = FinetuneConfig(**{**TINY, "checkpoint": {"every": 100}})
    whole, out = new_folder(tmp_path, "whole"), new_folder(tmp_path, "out")
    torch.manual_seed(1)
    expected = finetune(config, inputs, whole, Live(new_folder(tmp_path, "work1")))
    stopping = StopsAt(new_folder(tmp_path, "work2"))
    stopping.at = asked
    with pytest.raises(LostWorker, match=f"step {asked + 1} is saved"):
        finetune(config, inputs, new_folder(tmp_path, "torn"), stopping)
    torch.manual_seed(12345)
    assert finetune(config, inputs, out, Live(stopping.work)) == expected
    assert content(out) == content(whole)


@pytest.mark.parametrize("micro", [1, 2])
def test_micro_batches_change_nothing_but_rounding(inputs: Inputs, tmp_path: Path, micro: int) -> None:
    """Averaged by tokens over the whole batch: rows of different length in different passes count alike."""
    plain = {**TINY, "lora": {"rank": 4, "alpha": 8}}
    curves = []
    for name, values in (("one", plain), ("many", {**plain, "micro_batch": micro})):
        out = new_folder(tmp_path, name)
        finetune(FinetuneConfig(**values), inputs, out, Live(new_folder(tmp_path, f"work-{name}")))
        lines = (out / "training" / "curve.jsonl").read_text().splitlines()
        curves.append([json.loads(line) for line in lines])
    for one, many in zip(*curves, strict=True):
        assert one["loss"] == pytest.approx(many["loss"], rel=1e-4)
        assert one["grad_norm"] == pytest.approx(many["grad_norm"], rel=1e-3)


def test_it_is_silent(inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    finetune(FinetuneConfig(**TINY), inputs, new_folder(tmp_path, "out"), Live(new_folder(tmp_path, "work")))
    said = capfd.readouterr()
    assert said.out == ""
    assert "it/s" not in said.err
    assert "loss" not in said.err


def test_gpt2_as_base(inputs: Inputs, make_model: Callable[..., Any], tokenizer_folder: Path, tmp_path: Path) -> None:
    base = new_folder(tmp_path, "gpt2")
    make_model("gpt2").save_pretrained(base)
    copy_tokenizer(tokenizer_folder, base)
    other = Inputs(folders={"base": base}, refs=inputs.refs, sources=inputs.sources)
    config = FinetuneConfig(**{**TINY, "steps": 20})
    metrics = finetune(config, other, new_folder(tmp_path, "out"), Live(new_folder(tmp_path, "work")))
    assert metrics["response_perplexity"] < metrics["response_perplexity_start"]


def test_divergence_names_the_setting(inputs: Inputs, tmp_path: Path) -> None:
    config = FinetuneConfig(**{**TINY, "optimizer": {"learning_rate": 1e30, "warmup_steps": 0}})
    with pytest.raises(Diverged, match=r"finetune\.optimizer\.learning_rate=1e\+30"):
        finetune(config, inputs, new_folder(tmp_path, "out"), Live(new_folder(tmp_path, "work")))


@pytest.mark.parametrize(
    ("change", "failure", "message"),
    [
        ({"micro_batch": 3}, BadConfig, r"finetune\.batch=4 is not a multiple of finetune\.micro_batch=3"),
        ({"heldout": 24}, BadData, r"cannot hold out 24"),
        ({"max_length": 8}, BadData, r"finetune\.max_length"),
        ({"lora": {"targets": ["lm_head"]}}, BadConfig, r"finetune\.lora\.targets"),
    ],
)
def test_settings_that_cannot_work_are_named(
    inputs: Inputs, tmp_path: Path, change: dict[str, Any], failure: type[Exception], message: str
) -> None:
    with pytest.raises(failure, match=message):
        finetune(
            FinetuneConfig(**{**TINY, **change}),
            inputs,
            new_folder(tmp_path, "out"),
            Live(new_folder(tmp_path, "work")),
        )
