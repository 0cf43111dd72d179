"""Attention reset: a packed row is worth what its documents are worth alone, and no more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from dying_runs import new_folder

from configs.schema.pretrain import PretrainConfig
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.perplexity import token_nats
from tasks.pretrain.attention import expect_reset, places
from tasks.pretrain.model import NextTokenLoss, lay_out
from tasks.pretrain.train import pretrain

DOCUMENTS = [[1, 20, 21, 22, 1], [1, 1], [1, 30, 31, 20, 21, 22, 23, 24, 1], [1, 40, 1], [1, 20, 21, 50, 51, 1]]
STREAM = DOCUMENTS[0] + [token for ids in DOCUMENTS[1:] for token in ids[1:]]
STARTS = [4, 5, 13, 15]


def test_places_worked_by_hand() -> None:
    assert places([[2, 5], [], [6]], 6).tolist() == [[0, 1, 0, 1, 2, 0], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("plain_head", [True, False])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_packed_row_costs_what_its_documents_cost_alone(make_model: Any, kind: str, plain_head: bool) -> None:
    model = make_model(kind)
    assert model.config._attn_implementation == "sdpa"
    loss = NextTokenLoss(model, plain_head)
    ids_BT, target_BT = lay_out([STREAM, STREAM[:7]], 0, context=64)
    position_BT = places([STARTS, [4, 5]], ids_BT.shape[1])
    reset = loss(ids_BT, target_BT, position_BT).item()
    alone = sum(token_nats(model, [*DOCUMENTS, *DOCUMENTS[:2], DOCUMENTS[2][:2]], 0))
    assert reset == pytest.approx(alone, rel=1e-5)
    assert abs(loss(ids_BT, target_BT).item() - alone) > 0.01 * alone  # without the reset they see each other


def test_gradients_are_those_of_the_documents(make_model: Any) -> None:
    packed, apart = make_model(), make_model()
    ids_BT, target_BT = lay_out([STREAM], 0, context=64)
    NextTokenLoss(packed, True)(ids_BT, target_BT, places([STARTS], ids_BT.shape[1])).backward()
    NextTokenLoss(apart, True)(*lay_out(DOCUMENTS, 0, context=64)).backward()
    for one, other in zip(packed.parameters(), apart.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_a_model_that_cannot_do_it_is_refused_with_the_setting(make_model: Callable[..., Any]) -> None:
    for kind in ("llama", "gpt2"):
        expect_reset(make_model(kind))
    model = make_model()
    model.register_forward_pre_hook(  # as a model that knows nothing of documents
        lambda module, args, kwargs: (args, {k: v for k, v in kwargs.items() if k != "position_ids"}), with_kwargs=True
    )
    with pytest.raises(BadConfig, match=r"pretrain\.attention=document: LlamaForCausalLM .*pretrain\.attention=full"):
        expect_reset(model)


def test_the_stage_trains_with_it_and_counts_alone_are_reported(
    corpus_folder: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    inputs = Inputs(folders={"corpus": corpus_folder, "tokenizer": tokenizer_folder})
    shared: dict[str, Any] = {"hidden": 32, "layers": 1, "heads": 2, "mlp": 48, "context": 48, "steps": 8, "batch": 4}
    shared |= {"initializer_range": 0.08, "optimizer": {"learning_rate": 5e-3, "warmup_steps": 2}, "seed": 3}
    found = {}
    for attention in ("full", "document"):
        config = PretrainConfig(**shared, attention=attention)
        out, work = new_folder(tmp_path, f"out-{attention}"), new_folder(tmp_path, f"work-{attention}")
        found[attention] = pretrain(config, inputs, out, Live(work))
    assert found["document"]["perplexity"] < found["document"]["perplexity_start"]
    assert found["document"]["perplexity"] != found["full"]["perplexity"]
    assert found["document"]["perplexity_ngram"] == found["full"]["perplexity_ngram"] > 1
    out, work = new_folder(tmp_path, "out-none"), new_folder(tmp_path, "work-none")
    without = pretrain(PretrainConfig(**shared, ngram_order=0), inputs, out, Live(work))
    assert without == {name: value for name, value in found["full"].items() if name != "perplexity_ngram"}
    weights = [(tmp_path / folder / "model.safetensors").read_bytes() for folder in ("out-none", "out-full")]
    assert weights[0] == weights[1]
