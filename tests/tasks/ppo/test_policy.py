"""The policy's three views: adapted, reference, merged."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from ppo_parts import ANSWERS, PROMPTS, Parts, tiny_gpt2, tiny_llama
from safetensors.torch import load_file
from torch import nn

from configs.schema.training import LoraSettings
from tasks.models import load_base, load_chat_model
from tasks.ppo.policy import Policy, load_parameters
from tasks.ppo.rollout import lay_out, read_all


def _policy(build, scale: float = 0.0) -> Policy:
    policy = Policy(build(40).requires_grad_(False), LoraSettings(rank=4, alpha=8.0), seed=0)
    for name, param in policy.parameters().items():
        if scale and "lora_B" in name:
            nn.init.normal_(param, std=scale)
    return policy


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
def test_fresh_adapter_is_the_reference_exactly(build) -> None:
    policy = _policy(build)
    answers = lay_out(PROMPTS, ANSWERS, 0)
    own = read_all(policy.adapted, answers, 1.0, None).logp_BT
    with policy.reference() as reference:
        start = read_all(reference, answers, 1.0, None).logp_BT
    assert torch.equal(own, start)
    assert all(param.requires_grad for param in policy.parameters().values())
    assert policy.parameters()


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
def test_merged_model_follows_the_adapter(build) -> None:
    policy = _policy(build, scale=0.1)
    answers = lay_out(PROMPTS, ANSWERS, 0)
    own = read_all(policy.adapted, answers, 1.0, None).logp_BT
    stale = read_all(policy.merged, answers, 1.0, None).logp_BT
    assert float((own - stale).abs().max()) > 1e-2
    policy.refresh()
    torch.testing.assert_close(read_all(policy.merged, answers, 1.0, None).logp_BT, own, atol=2e-5, rtol=0)
    first = {name: param.clone() for name, param in policy.merged.named_parameters()}
    for _ in range(50):  # rounding does not pile up
        policy.refresh()
    assert all(torch.equal(param, first[name]) for name, param in policy.merged.named_parameters())


def test_merged_model_shares_what_no_adapter_touches() -> None:
    policy = _policy(tiny_llama)
    trunk = policy.adapted.get_base_model()
    assert policy.merged.get_input_embeddings().weight.data_ptr() == trunk.get_input_embeddings().weight.data_ptr()
    adapted = trunk.get_submodule("model.layers.0.mlp.up_proj").base_layer.weight
    assert policy.merged.get_submodule("model.layers.0.mlp.up_proj").weight.data_ptr() != adapted.data_ptr()


def test_reference_is_the_fine_tuned_model_and_not_the_base(parts: Parts) -> None:
    folders = parts.inputs.folders
    policy = Policy(load_chat_model(folders["base"], folders["finetuned"]), LoraSettings(rank=2), seed=0)
    answers = lay_out(PROMPTS, ANSWERS, 0)
    tuned = PeftModel.from_pretrained(load_base(folders["base"]), folders["finetuned"])
    with policy.reference() as reference:
        start = read_all(reference, answers, 1.0, None).logp_BT
    torch.testing.assert_close(start, read_all(tuned, answers, 1.0, None).logp_BT, atol=1e-5, rtol=0)
    bare = read_all(load_base(folders["base"]), answers, 1.0, None).logp_BT
    assert float((start - bare).abs().max()) > 0.05


def test_training_leaves_the_frozen_weights_alone() -> None:
    policy = _policy(tiny_llama)

    def digest() -> str:
        whole = hashlib.sha256()
        for param in policy.adapted.parameters():
            if not param.requires_grad:
                whole.update(param.numpy().tobytes())
        return whole.hexdigest()

    before = digest()
    optimizer = torch.optim.AdamW(policy.parameters().values(), lr=0.1)
    for _ in range(3):
        policy.adapted(input_ids=torch.tensor([[5, 6, 7]])).logits.square().mean().backward()
        optimizer.step()
        policy.refresh()
    assert digest() == before
    assert all(param.grad is None for param in policy.adapted.parameters() if not param.requires_grad)


def test_saved_adapter_opens_with_peft(tmp_path: Path) -> None:
    policy = _policy(tiny_llama, scale=0.1)
    policy.refresh()
    policy.save(tmp_path, "sha256:abc")
    opened = PeftModel.from_pretrained(tiny_llama(40), tmp_path).merge_and_unload().eval()
    answers = lay_out(PROMPTS, ANSWERS, 0)
    torch.testing.assert_close(
        read_all(opened, answers, 1.0, None).logp_BT,
        read_all(policy.adapted, answers, 1.0, None).logp_BT,
        atol=2e-5,
        rtol=0,
    )
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "sha256:abc"
    assert config["target_modules"] == sorted(config["target_modules"])
    assert load_file(tmp_path / "adapter_model.safetensors")


def test_the_seed_decides_the_adapter_and_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (
        torch.cat([p.flatten() for p in Policy(tiny_llama(40, 0), LoraSettings(rank=2), seed=s).parameters().values()])
        for s in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    torch.set_rng_state(before)
    Policy(model := tiny_llama(40, 0), LoraSettings(rank=2), seed=1)
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    tiny_llama(40, 0)
    assert model is not None
    assert torch.equal(after, torch.get_rng_state())


def test_parameters_of_another_model_are_refused() -> None:
    with pytest.raises(KeyError, match="disagree on 2 parameters"):
        load_parameters({"a": nn.Parameter(torch.zeros(1))}, {"b": torch.zeros(1)})
