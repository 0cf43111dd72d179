"""All engines on one tiny policy: the same greedy answers, seeds, ends; a real server for the vLLM client."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_server import LoraServer
from transformers import LlamaConfig, LlamaForCausalLM

from configs.schema.rollout import RolloutConfig
from configs.schema.training import LoraSettings
from tasks.engines.choose import make_engine
from tasks.engines.continuous import ContinuousEngine
from tasks.engines.engine import Engine, Sampling, answer
from tasks.engines.native import NativeEngine
from tasks.engines.vllm_server import VllmServerEngine
from tasks.failures import BadConfig, LostWorker
from tasks.ppo.policy import Policy

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [16, 17], [5, 6, 7]]
GREEDY = Sampling(max_new_tokens=10, temperature=0.0, end_ids=[1, 4], pad_id=0)


def _start() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=60, **sizes, **heads)).eval().requires_grad_(False)


def _change(policy: Policy, seed: int) -> None:
    """An adapter that does something, as after an update."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for param in policy.parameters().values():
            param.normal_(std=0.1)
    policy.refresh()


@pytest.fixture
def policy() -> Policy:
    policy = Policy(_start(), LoraSettings(rank=4), seed=0)
    _change(policy, 1)
    return policy


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoraServer]:
    _start().save_pretrained(tmp_path / "start")
    server = LoraServer(tmp_path / "start")
    yield server
    server.shutdown()
    server.server_close()


def _run(engine: Engine, sampling: Sampling, seed: int = 3) -> list[Any]:
    return engine.generate(PROMPTS, sampling, torch.Generator().manual_seed(seed))


def test_every_engine_gives_the_same_greedy_answers(policy: Policy, server: LoraServer, tmp_path: Path) -> None:
    native = NativeEngine()
    engines: list[Engine] = [
        native,
        NativeEngine(batch=2, by_length=True),
        ContinuousEngine(page=8, tokens=16),
        VllmServerEngine(server.url, tmp_path / "adapters"),
    ]
    for seed in (1, 2):  # the engines follow the policy when it changes
        _change(policy, seed)
        found = []
        for engine in engines:
            engine.sync(policy)
            found.append(_run(engine, GREEDY))
        assert found[1:] == found[:1] * 3
        assert {one.ended for one in found[0]} == {True, False} or seed == 2
    assert policy.trunk.start.config._attn_implementation == "sdpa"
    assert list(server.models) == ["plumbline-policy-2"]
    engines[3].close()
    assert not server.models
    assert not list((tmp_path / "adapters").iterdir())


def test_the_seed_decides_and_the_global_generators_stay_as_they_were(policy: Policy) -> None:
    sampling = Sampling(max_new_tokens=8, temperature=1.0, end_ids=[1], pad_id=0)
    for engine in (NativeEngine(), ContinuousEngine()):
        engine.sync(policy)
        before = torch.get_rng_state()
        assert _run(engine, sampling) == _run(engine, sampling) != _run(engine, sampling, seed=4)
        assert torch.equal(torch.get_rng_state(), before)


def test_continuous_batching_draws_from_the_whole_softmax(policy: Policy) -> None:
    """600 draws of one token against exact probabilities: no top-k, no top-p. Chi-square over the likely tokens."""
    engine = ContinuousEngine(tokens=64)
    merged = copy.deepcopy(policy.merged)
    merged.generation_config.top_k = 2  # what a model brings along must not count
    engine._model = merged
    with torch.no_grad():
        p = torch.softmax(merged(torch.tensor([[5, 6]])).logits[0, -1].double() / 2.0, -1)
    sampling = Sampling(max_new_tokens=1, temperature=2.0, end_ids=[], pad_id=0)
    found = engine.generate([[5, 6]] * 600, sampling, torch.Generator().manual_seed(0))
    counts = torch.bincount(torch.tensor([one.ids[0] for one in found]), minlength=60).double()
    likely = p * 600 > 5
    assert int(likely.sum()) > 5
    assert float(((counts - 600 * p) ** 2 / (600 * p))[likely].sum()) < 100  # 60 classes, 99.9 % quantile


def test_equal_prompts_get_answers_of_their_own_from_a_server(
    policy: Policy, server: LoraServer, tmp_path: Path
) -> None:
    engine = VllmServerEngine(server.url, tmp_path / "adapters")
    engine.sync(policy)
    sampling = Sampling(max_new_tokens=8, temperature=1.0, end_ids=[1], pad_id=0)
    found = _run(engine, sampling)
    assert found[0] != found[4]
    assert _run(engine, sampling) == found
    assert engine.generate([], sampling, torch.Generator()) == []


def test_an_end_token_that_a_server_left_out_is_put_back(policy: Policy, server: LoraServer, tmp_path: Path) -> None:
    engine = VllmServerEngine(server.url, tmp_path / "adapters")
    engine.sync(policy)
    sampling = Sampling(max_new_tokens=12, temperature=1.0, end_ids=list(range(1, 12)), pad_id=0)
    whole = _run(engine, sampling)
    server.keeps_end = False
    assert _run(engine, sampling) == whole
    assert any(one.ended for one in whole)


def test_a_busy_server_is_asked_again_and_a_wrong_one_is_named(
    policy: Policy, server: LoraServer, tmp_path: Path
) -> None:
    engine = VllmServerEngine(server.url, tmp_path / "adapters")
    server.failing = 1
    engine.sync(policy)
    assert len(_run(engine, GREEDY)) == len(PROMPTS)
    server.models.clear()
    with pytest.raises(BadConfig, match=r"/v1/completions answered 404: The model plumbline-policy-1 does not exist"):
        _run(engine, GREEDY)
    server.shutdown()
    server.server_close()
    with pytest.raises(LostWorker, match=r"ppo\.rollout\.vllm\.url"):
        _run(engine, GREEDY)


def test_an_answer_ends_at_its_first_end_token() -> None:
    assert answer([5, 4, 7], [1, 4]) == ([5, 4], True)
    assert answer([5, 7], [1, 4]) == ([5, 7], False)
    assert answer([], [1]) == ([], False)


def test_settings_choose_the_engine(tmp_path: Path) -> None:
    assert isinstance(make_engine(RolloutConfig()), NativeEngine)
    assert isinstance(make_engine(RolloutConfig(engine="continuous")), ContinuousEngine)
    with pytest.raises(ValueError, match=r"ppo\.rollout\.vllm\.adapters"):
        RolloutConfig(engine="vllm")
    inside = {"mode": "colocated", "model": "start", "adapters": str(tmp_path)}
    with pytest.raises(BadConfig, match="vLLM cannot be imported"):
        make_engine(RolloutConfig(engine="vllm", vllm=inside))
