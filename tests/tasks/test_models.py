"""Opening models: adapters change nothing at first, merging equals adding, scores are read by length."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.schema.training import LoraSettings
from tasks.adapter import new_adapter, save_adapter
from tasks.failures import BadData
from tasks.models import load_base, load_chat_model
from tasks.scoring import load_reward

IDS = torch.tensor([[5, 6, 7, 8, 9, 10], [20, 21, 22, 23, 24, 25]])


@pytest.fixture(params=["llama", "gpt2"])
def base(request: pytest.FixtureRequest, make_model: Callable[..., Any], tmp_path: Path) -> Path:
    folder = tmp_path / request.param
    make_model(request.param).save_pretrained(folder)
    return folder


def _digest(model: torch.nn.Module) -> str:
    whole = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if "lora" not in name:
            whole.update(tensor.numpy().tobytes())
    return whole.hexdigest()


def _adapter(base: Path, folder: Path, seed: int) -> Any:
    """An adapter whose B is not zero, saved."""
    adapted = new_adapter(load_base(base), LoraSettings(rank=4, alpha=8), seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, param in adapted.named_parameters():
            if "lora_B" in name:
                param.normal_(0, 0.1)
    folder.mkdir()
    save_adapter(adapted.eval(), folder, "sha256:abc")
    return adapted


@torch.no_grad()
def _logits(model: Any) -> torch.Tensor:
    return model(IDS).logits


def test_base_is_float32_trainable_and_without_dropout(base: Path) -> None:
    model = load_base(base).train()
    assert all(param.dtype == torch.float32 and param.requires_grad for param in model.parameters())
    assert torch.equal(_logits(model), _logits(model))  # GPT-2's default dropout is .1


def test_a_fresh_adapter_changes_no_logit_and_no_base_weight(base: Path) -> None:
    model = load_base(base)
    before, digest = _logits(model), _digest(model)
    adapted = new_adapter(model, LoraSettings(rank=4), seed=1).eval()
    assert torch.equal(_logits(adapted), before)
    assert _digest(load_base(base)) == digest
    trained = [name for name, param in adapted.named_parameters() if param.requires_grad]
    assert trained
    assert all("lora" in name for name in trained)


def test_merged_equals_adapter(base: Path, tmp_path: Path) -> None:
    adapted = _adapter(base, tmp_path / "a", seed=1)
    merged = load_chat_model(base, tmp_path / "a")
    difference = (_logits(merged) - _logits(adapted)).abs().max()
    assert difference < 1e-5 * _logits(adapted).abs().max()
    assert (_logits(merged) - _logits(load_base(base))).abs().max() > 0.1
    assert not any(param.requires_grad for param in merged.parameters())
    assert not merged.training


def test_adapters_are_merged_in_order(base: Path, tmp_path: Path) -> None:
    """W + BA of the first + BA of the second, in every matrix that has an adapter."""
    from safetensors.torch import load_file

    for name, seed in (("a", 1), ("b", 2)):
        _adapter(base, tmp_path / name, seed)
    merged = load_chat_model(base, tmp_path / "a", tmp_path / "b")
    plain = load_base(base).state_dict()
    parts = [load_file(tmp_path / name / "adapter_model.safetensors") for name in "ab"]
    name = next(key for key in parts[0] if "lora_A" in key).removeprefix("base_model.model.")
    name = name.removesuffix(".lora_A.weight")
    delta = sum(
        (part[f"base_model.model.{name}.lora_B.weight"] @ part[f"base_model.model.{name}.lora_A.weight"]) * 2
        for part in parts
    )
    weight = plain[f"{name}.weight"]
    delta = delta if delta.shape == weight.shape and "gpt2" not in str(base) else delta.T
    assert torch.allclose(merged.state_dict()[f"{name}.weight"], weight + delta, atol=1e-5)


def test_an_adapter_is_the_same_bytes_each_time_and_names_its_base(base: Path, tmp_path: Path) -> None:
    import json

    _adapter(base, tmp_path / "a", seed=1)
    _adapter(base, tmp_path / "again", seed=1)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "sha256:abc"
    assert config["target_modules"] == sorted(config["target_modules"])


def test_pickled_weights_are_never_read(base: Path, tmp_path: Path) -> None:
    _adapter(base, tmp_path / "a", seed=1)
    (tmp_path / "a" / "adapter_model.safetensors").rename(tmp_path / "a" / "adapter_model.bin")
    with pytest.raises(BadData, match=r"adapter_model\.safetensors"):
        load_chat_model(base, tmp_path / "a")
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(BadData, match="safetensors"):
        load_base(base)


def test_a_model_of_several_outputs_is_no_reward_model(make_model: Callable[..., Any], tmp_path: Path) -> None:
    from transformers import LlamaForSequenceClassification

    config = make_model().config
    config.num_labels = 2
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(BadData, match="1 output"):
        load_reward(tmp_path)
