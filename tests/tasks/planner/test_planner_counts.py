"""Numbers of parameters, and of what autograd keeps, against real models."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from planner_parts import small_work
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    LlamaForSequenceClassification,
    MistralConfig,
    Qwen2Config,
)

from configs.schema.pretrain import PretrainConfig
from configs.schema.training import LoraSettings
from tasks.failures import BadData
from tasks.planner.ppo_memory import saved_numbers
from tasks.planner.ppo_work import RewardShape
from tasks.planner.rehearsal import random_model
from tasks.planner.shape import ModelShape, shape_of_config, shape_of_folder, shape_of_recipe
from tasks.ppo.critic import AdapterCritic, Critic
from tasks.ppo.policy import Policy, WholePolicy
from tasks.ppo.rollout import Answers, hidden_states
from tasks.trunk import Trunk

LLAMA: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
GPT2 = {"vocab_size": 60, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
CONFIGS = [
    LlamaConfig(**LLAMA, tie_word_embeddings=True),
    LlamaConfig(**LLAMA, tie_word_embeddings=False),
    LlamaConfig(**LLAMA, head_dim=16),
    MistralConfig(**LLAMA),
    Qwen2Config(**LLAMA, tie_word_embeddings=True),
    GPT2Config(**GPT2),
    GPT2Config(**GPT2, n_inner=80),
]


def count(model: Any) -> int:
    return sum(param.numel() for param in model.parameters())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_parameters_of_a_real_model(config: Any, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    shape = shape_of_folder(tmp_path)
    assert shape.parameters == count(model)
    assert shape.trunk_parameters == count(model.base_model)


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"], r".*\.1\.mlp\.(gate|up)_proj"])
def test_numbers_of_an_adapter(targets: Any) -> None:
    config = LlamaConfig(**LLAMA)
    shape = shape_of_config(config.to_dict())
    lora = LoraSettings(rank=4, targets=targets)
    policy = Policy(AutoModelForCausalLM.from_config(config), lora, 0)
    assert shape.adapter_parameters(4, targets) == sum(p.numel() for p in policy.parameters().values())
    assert 0 < shape.adapter_parameters(4, targets) < shape.parameters


def test_gpt2_s_adapter() -> None:
    shape = shape_of_config(GPT2Config(**GPT2).to_dict())
    policy = Policy(AutoModelForCausalLM.from_config(GPT2Config(**GPT2)), LoraSettings(rank=4), 0)
    assert shape.adapter_parameters(4, "all-linear") == sum(p.numel() for p in policy.parameters().values())


def test_critics_and_reward_models() -> None:
    shape = shape_of_config(LlamaConfig(**LLAMA).to_dict())
    assert small_work(shape=shape).critic_parameters == count(Critic(32, 0))
    trunk = Trunk(AutoModelForCausalLM.from_config(LlamaConfig(**LLAMA)))
    critic = AdapterCritic(trunk, LoraSettings(rank=3), 0)
    with_adapter = small_work(shape=shape, critic={"kind": "adapter", "lora": {"rank": 3}})
    assert with_adapter.critic_parameters == sum(p.numel() for p in critic.trained().values())
    whole = small_work(shape=shape, reward=RewardShape(whole=shape))
    assert whole.reward_parameters == count(LlamaForSequenceClassification(LlamaConfig(**LLAMA, num_labels=1)))
    assert small_work(shape=shape, reward=RewardShape()).reward_parameters == 0


def test_merged_copy_is_the_adapted_matrices() -> None:
    shape = shape_of_config(LlamaConfig(**LLAMA).to_dict())
    policy = Policy(AutoModelForCausalLM.from_config(LlamaConfig(**LLAMA)), LoraSettings(rank=4), 0)
    own = {param.data_ptr() for param in policy.trunk.start.parameters()}
    copied = sum(param.numel() for param in policy.merged.parameters() if param.data_ptr() not in own)
    assert small_work(shape=shape).merged_parameters == copied
    assert small_work(shape=shape, merge_for_sampling=False).merged_parameters == 0
    assert small_work(shape=shape, method="full").merged_parameters == 0


def test_a_recipe_s_shape_is_that_of_gpt2_124m() -> None:
    config = PretrainConfig(architecture="gpt2", hidden=768, layers=12, heads=12, mlp=3072, context=1024)
    assert shape_of_recipe(config, 50_257).parameters == 124_439_808


def test_an_unknown_kind_of_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}), encoding="utf-8")
    with pytest.raises(BadData, match="mamba"):
        shape_of_folder(tmp_path)
    with pytest.raises(BadData, match=r"config\.json"):
        shape_of_folder(tmp_path / "none")


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("full", [False, True])
def test_what_autograd_keeps(architecture: str, full: bool) -> None:
    """A layer's numbers a token; 15 % for what modules keep beside (masks, positions, figures of a token)."""
    lora, kept = LoraSettings(rank=4), []
    biases, heads = architecture == "qwen2", 4 if architecture == "gpt2" else 2
    shape = ModelShape(architecture, 1, 64, 4, heads, 16, 96, 60, 64, biases=biases)
    for layers in (1, 3):
        model = random_model(shape, layers, 64)
        policy = WholePolicy(model) if full else Policy(model, lora, 0)
        weights = {param.untyped_storage().data_ptr() for param in policy.adapted.parameters()}
        seen: dict[int, int] = {}

        def pack(tensor: Tensor, weights: set[int] = weights, seen: dict[int, int] = seen) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        answers = Answers(torch.randint(0, 60, (4, 24)), torch.full((4,), 12), torch.full((4,), 12), 12)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            state_BTH = hidden_states(policy.adapted, answers)
        kept.append(sum(seen.values()) / 4 / (4 * 24))
        del state_BTH
    method = None if full else lora
    assert (kept[1] - kept[0]) / 2 == pytest.approx(saved_numbers(shape, method), rel=0.15)
    share = 0.5 if shape.spares else 1.0
    assert kept[0] == pytest.approx(saved_numbers(shape, method, share), rel=0.25)
