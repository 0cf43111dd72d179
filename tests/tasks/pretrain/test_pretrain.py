"""The pretrain stage on a tiny corpus: it learns, it resumes to the bit, it says what is wrong."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from dying_runs import DiesAt, Killed, StopsAt, content, new_folder

from configs.schema.pretrain import PretrainConfig
from tasks.chat import load_tokenizer
from tasks.corpus_shards import write_shards
from tasks.documents import encode_documents
from tasks.failures import BadData, Diverged, LostWorker
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_base
from tasks.perplexity import perplexity
from tasks.pretrain.heldout import read_heldout
from tasks.pretrain.model import NextTokenLoss, lay_out, start_model
from tasks.pretrain.train import pretrain

TINY: dict[str, Any] = {
    "hidden": 32,
    "layers": 2,
    "heads": 2,
    "mlp": 48,
    "context": 48,
    "steps": 6,
    "batch": 4,
    "initializer_range": 0.08,
    "optimizer": {"learning_rate": 5e-3, "warmup_steps": 2},
    "checkpoint": {"every": 2},
    "seed": 3,
}


@pytest.fixture
def inputs(corpus_folder: Path, tokenizer_folder: Path) -> Inputs:
    return Inputs(folders={"corpus": corpus_folder, "tokenizer": tokenizer_folder})


@pytest.mark.parametrize("rows", ["documents", "packed"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_it_learns_and_can_be_opened_by_anyone(inputs: Inputs, tmp_path: Path, architecture: Any, rows: Any) -> None:
    config = PretrainConfig(**{**TINY, "steps": 30, "architecture": architecture, "rows": rows})
    out, work = new_folder(tmp_path, "out"), new_folder(tmp_path, "work")
    metrics = pretrain(config, inputs, out, Live(work))
    assert metrics["perplexity"] < 0.2 * metrics["perplexity_start"]
    assert metrics["heldout_documents"] == 6
    assert "perplexity_bound" not in metrics
    model, tokenizer = load_base(out), load_tokenizer(out)
    heldout = read_heldout(_documents(inputs, "heldout"), tokenizer, 512, 48)
    assert perplexity(model, heldout.rows, 0) == pytest.approx(metrics["perplexity"], rel=1e-5)
    assert model.generation_config.eos_token_id == [1, 3]
    curve = [json.loads(line) for line in (out / "training" / "curve.jsonl").read_text().splitlines()]
    assert [row["step"] for row in curve] == list(range(1, 31))
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert set(curve[0]) == {"step", "loss", "lr", "grad_norm"}


def _documents(inputs: Inputs, split: Any) -> Any:
    from tasks.corpus_shards import read_shards

    return read_shards(inputs.folders["corpus"], split)


@pytest.mark.parametrize("died", [1, 2, 3, 5, 6])
def test_killed_and_resumed_is_the_same_to_the_bit(inputs: Inputs, tmp_path: Path, died: int) -> None:
    config = PretrainConfig(**TINY)
    whole = new_folder(tmp_path, "whole")
    expected = pretrain(config, inputs, whole, Live(new_folder(tmp_path, "work1")))
    work, torn, out = new_folder(tmp_path, "work2"), new_folder(tmp_path, "torn"), new_folder(tmp_path, "out")
    dying = DiesAt(work)
    dying.at = died
    with pytest.raises(Killed):
        pretrain(config, inputs, torn, dying)
    torch.manual_seed(12345)  # another process has other numbers
    assert pretrain(config, inputs, out, Live(work)) == expected
    assert content(out) == content(whole)


@pytest.mark.parametrize("asked", [2, 5])
def test_asked_to_stop_it_saves_and_goes_on_to_the_bit(inputs: Inputs, tmp_path: Path, asked: int) -> None:
    config = PretrainConfig(**{**TINY, "checkpoint": {"every": 100}})
    whole = new_folder(tmp_path, "whole")
    expected = pretrain(config, inputs, whole, Live(new_folder(tmp_path, "work1")))
    work, torn, out = new_folder(tmp_path, "work2"), new_folder(tmp_path, "torn"), new_folder(tmp_path, "out")
    stopping = StopsAt(work)
    stopping.at = asked
    with pytest.raises(LostWorker, match=f"step {asked + 1} is saved"):
        pretrain(config, inputs, torn, stopping)
    assert pretrain(config, inputs, out, Live(work)) == expected
    assert content(out) == content(whole)


def test_a_damaged_checkpoint_costs_steps_and_not_the_result(inputs: Inputs, tmp_path: Path) -> None:
    config = PretrainConfig(**TINY)
    whole = new_folder(tmp_path, "whole")
    pretrain(config, inputs, whole, Live(new_folder(tmp_path, "work1")))
    work, out = new_folder(tmp_path, "work2"), new_folder(tmp_path, "out")
    dying = DiesAt(work)
    dying.at = 5
    with pytest.raises(Killed):
        pretrain(config, inputs, new_folder(tmp_path, "torn"), dying)
    weights = work / "checkpoints" / "step-00000004" / "tensors.safetensors"
    data = bytearray(weights.read_bytes())
    data[-9] ^= 1
    weights.write_bytes(data)
    pretrain(config, inputs, out, Live(work))
    assert content(out) == content(whole)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_new_weights_know_nothing(inputs: Inputs, architecture: Any) -> None:
    """Small weights: every token is as likely as any other, ln(vocabulary) nats."""
    config = PretrainConfig(**{**TINY, "architecture": architecture, "initializer_range": 0.01})
    tokenizer = load_tokenizer(inputs.folders["tokenizer"])
    model = start_model(config, tokenizer, seed=0)
    rows = encode_documents(tokenizer, list(_documents(inputs, "train")))
    rows = [row[:40] for row in rows]
    assert math.log(perplexity(model, rows, 0)) == pytest.approx(math.log(len(tokenizer)), abs=0.05)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_same_seed_same_weights_other_seed_other_weights(inputs: Inputs) -> None:
    tokenizer = load_tokenizer(inputs.folders["tokenizer"])
    one, two, three = (
        start_model(PretrainConfig(**TINY), tokenizer, seed).get_input_embeddings().weight for seed in (0, 0, 1)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_loss_is_the_same_whoever_computes_the_logits(make_model: Callable[..., Any], kind: str) -> None:
    model = make_model(kind)
    rows = [[1, 5, 6, 7, 1], [1, 9, 1], [1, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 1]]
    ids_BT, target_BT = lay_out(rows, 0, context=64)
    assert ids_BT.shape == (3, 16)
    plain = NextTokenLoss(model, plain_head=True)(ids_BT, target_BT)
    whole = NextTokenLoss(model, plain_head=False)(ids_BT, target_BT)
    assert plain.item() == pytest.approx(whole.item(), rel=1e-6)
    tokens = sum(len(row) - 1 for row in rows)
    assert math.exp(plain.item() / tokens) == pytest.approx(perplexity(model, rows, 0), rel=1e-5)
    assert lay_out(rows, 0, context=13)[0].shape == (3, 13)  # no wider than the model's positions


def test_the_bound_is_the_documents_own_nats(tmp_path: Path, chat_tokenizer: Any) -> None:
    rows = [
        {"id": str(n), "text": "A fox.", "source": "s", "language": "en", "metadata": {"nats": nats}}
        for n, nats in enumerate((3.0, 5.0))
    ]
    tokens = 2 * (len(encode_documents(chat_tokenizer, rows[:1])[0]) - 1)
    assert read_heldout(rows, chat_tokenizer, 9, 48).bound == pytest.approx(math.exp(8.0 / tokens))
    assert read_heldout(rows, chat_tokenizer, 1, 48).bound == pytest.approx(math.exp(6.0 / tokens))
    assert read_heldout(rows, chat_tokenizer, 9, 2).bound is None  # cut: the nats are of the whole text
    rows[1]["metadata"] = {}
    assert read_heldout(rows, chat_tokenizer, 9, 48).bound is None
    with pytest.raises(BadData, match="held-out"):
        read_heldout([], chat_tokenizer, 9, 48)


def test_bound_and_ratio_are_metrics(inputs: Inputs, tmp_path: Path, tokenizer_folder: Path) -> None:
    row = {"id": "1", "text": "A fox.", "source": "s", "language": "en", "metadata": {"nats": 3.0}}
    corpus = tmp_path / "bounded"
    write_shards(corpus, "train", [row], 10)
    write_shards(corpus, "heldout", [row], 10)
    bounded = Inputs(folders={"corpus": corpus, "tokenizer": tokenizer_folder})
    metrics = pretrain(PretrainConfig(**TINY), bounded, new_folder(tmp_path, "out"), Live(new_folder(tmp_path, "work")))
    assert metrics["perplexity_ratio"] == pytest.approx(metrics["perplexity"] / metrics["perplexity_bound"])


def test_a_given_base_is_taken_as_it_is(inputs: Inputs, make_model: Callable[..., Any], tmp_path: Path) -> None:
    base = new_folder(tmp_path, "base")
    given = make_model()
    given.save_pretrained(base)
    config = PretrainConfig(**{**TINY, "base": str(base), "steps": 0})
    out = new_folder(tmp_path, "out")
    metrics = pretrain(config, inputs, out, Live(new_folder(tmp_path, "work")))
    assert metrics["perplexity"] == metrics["perplexity_start"]
    assert metrics["tokens_seen"] == 0
    loaded = load_base(out).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in given.state_dict().items())


def test_a_given_base_learns_on_and_grows_for_new_tokens(
    inputs: Inputs, make_model: Callable[..., Any], tmp_path: Path
) -> None:
    base = new_folder(tmp_path, "base")
    make_model(vocabulary=300).save_pretrained(base)
    config = PretrainConfig(**{**TINY, "base": str(base), "steps": 20})
    out = new_folder(tmp_path, "out")
    metrics = pretrain(config, inputs, out, Live(new_folder(tmp_path, "work")))
    assert metrics["perplexity"] < 0.5 * metrics["perplexity_start"]
    assert load_base(out).get_input_embeddings().weight.shape[0] == len(load_tokenizer(out))


def test_divergence_names_the_setting(inputs: Inputs, tmp_path: Path) -> None:
    config = PretrainConfig(**{**TINY, "optimizer": {"learning_rate": 1e25, "warmup_steps": 0}})
    with pytest.raises(Diverged, match=r"pretrain\.optimizer\.learning_rate=1e\+25"):
        pretrain(config, inputs, new_folder(tmp_path, "out"), Live(new_folder(tmp_path, "work")))


def test_an_empty_corpus_is_named(tokenizer_folder: Path, tmp_path: Path, corpus_folder: Path) -> None:
    write_shards(corpus_folder, "train", [], 10)
    for shard in (corpus_folder / "train").glob("*.parquet"):
        if shard.name != "00000.parquet":
            shard.unlink()
    inputs = Inputs(folders={"corpus": corpus_folder, "tokenizer": tokenizer_folder})
    with pytest.raises(BadData, match="no training document"):
        pretrain(PretrainConfig(**TINY), inputs, new_folder(tmp_path, "out"), Live(new_folder(tmp_path, "work")))
