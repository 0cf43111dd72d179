"""Four roles on one base: the reward adapter on the policy's weights, the critic that starts from it, no copies."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from ppo_parts import WORDS, Parts, byte_tokenizer
from torch import nn

from configs.schema.ppo_parts import CriticConfig
from configs.schema.reward import RewardConfig
from configs.schema.training import LoraSettings
from tasks.chat import user
from tasks.failures import BadConfig, BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.ppo.critic import AdapterCritic
from tasks.ppo.learner import Learner, make_critic, make_policy
from tasks.ppo.rollout import lay_out, read_all
from tasks.ppo.train import train_ppo
from tasks.reward.model import Built, build
from tasks.reward.save import save_model, write_ensemble
from tasks.reward_model import RewardModel
from tasks.sampling import generate
from tasks.scoring import member_folder

PROMPTS, ANSWERS = [user("say the ab"), user("cd")], ["singing the thing", "ab"]


def _built(parts: Parts, seed: int, **settings: Any) -> Built:
    """A reward model on the fine-tuned model with weights that do something."""
    config = RewardConfig(**{"method": "lora", "lora": LoraSettings(rank=3), "max_length": 128, **settings})
    built = build(config, parts.inputs, parts.tokenizer, seed)
    rng = torch.Generator().manual_seed(seed)
    for name, param in built.model.named_parameters():
        if "lora_B" in name or name.startswith(("score", "match")):
            nn.init.normal_(param, std=0.1, generator=rng)
    built.model.set_constants(replace(built.model.reading, mean=(0.3,), std=(2.0,)))
    return built


def _shared(parts: Parts, tmp_path: Path, members: int = 1, **settings: Any) -> Inputs:
    """Inputs whose reward model is an adapter of the fine-tuned model, or an ensemble of them."""
    folder = tmp_path / "adapter-reward"
    for number in range(members):
        at = folder if members == 1 else member_folder(folder, number)
        save_model(_built(parts, number, **settings), parts.tokenizer, separate=False, folder=at)
    if members > 1:
        write_ensemble(folder, members)
    parts.tokenizer.save_pretrained(folder)
    return replace(parts.inputs, folders={**parts.inputs.folders, "reward": folder})


def _open(parts: Parts, inputs: Inputs, **changes: Any) -> tuple[Learner, RewardModel]:
    folders = inputs.folders
    config = parts.config(**changes)
    policy = make_policy(config, load_chat_model(folders["base"], folders["finetuned"]))
    scorer = RewardModel(folders["reward"], "cpu", folders["base"], folders["finetuned"], policy.trunk)
    return Learner.of(config, policy, make_critic(config, policy, parts.tokenizer, scorer)), scorer


@pytest.mark.parametrize(("members", "readout"), [(1, "last"), (1, "match"), (2, "mean")])
def test_on_the_policy_s_base_it_scores_as_by_itself(parts: Parts, tmp_path: Path, members: int, readout: str) -> None:
    """Also when the policy's own adapter has moved, and the policy is not moved by it."""
    inputs = _shared(parts, tmp_path, members, readout=readout)
    folders = inputs.folders
    alone = RewardModel(folders["reward"], "cpu", folders["base"], folders["finetuned"])(PROMPTS, ANSWERS)
    learner, scorer = _open(parts, inputs, critic=CriticConfig(kind="adapter"))
    answers = lay_out([[5, 6]], [[7, 8, 1]], 0)
    own = read_all(learner.policy.adapted, answers, 1.0, None).logp_BT
    torch.testing.assert_close(scorer(PROMPTS, ANSWERS), alone, atol=1e-5, rtol=0)
    assert torch.equal(read_all(learner.policy.adapted, answers, 1.0, None).logp_BT, own)
    with torch.no_grad():
        for param in [*learner.policy.parameters().values(), *learner.critic.trained().values()]:
            param.add_(0.1)
    torch.testing.assert_close(scorer(PROMPTS, ANSWERS), alone, atol=1e-5, rtol=0)
    assert alone.unique().numel() == 2


def test_no_weight_of_the_base_is_in_memory_twice(parts: Parts, tmp_path: Path) -> None:
    """Storage of every matrix that reward model and critic read is the trunk's; the sampler's copy can be left out."""
    critic = CriticConfig(kind="adapter", start="reward")
    learner, scorer = _open(parts, _shared(parts, tmp_path), critic=critic, merge_for_sampling=False)
    trunk = learner.policy.trunk
    assert isinstance(learner.critic, AdapterCritic)
    assert learner.critic.trunk is trunk
    assert scorer.trunk is trunk
    assert trunk.adapters == ["default", "reward", "critic"]
    frozen = {p.untyped_storage().data_ptr() for name, p in trunk.start.named_parameters() if "lora_" not in name}
    read = {p.untyped_storage().data_ptr() for name, p in scorer.model.trunk.named_parameters() if "lora_" not in name}
    sampled = {p.untyped_storage().data_ptr() for n, p in learner.policy.merged.named_parameters() if "lora_" not in n}
    assert read
    assert read <= frozen
    assert sampled == frozen
    base = sum(
        p.numel() for p in load_chat_model(*(parts.inputs.folders[n] for n in ("base", "finetuned"))).parameters()
    )
    tensors = [*learner.policy.adapted.parameters(), *scorer.model.parameters(), *learner.critic.trained().values()]
    held = {tensor.untyped_storage().data_ptr(): tensor.numel() for tensor in tensors}
    adapters = sum(p.numel() for name in trunk.adapters for p in trunk.parameters(name).values())
    heads = sum(p.numel() for p in [*scorer.model.score.parameters(), *learner.critic.head.parameters()])
    assert sum(held.values()) == base + adapters + heads


@pytest.mark.parametrize("changes", [{"merge_for_sampling": False}, {"method": "full"}])
def test_answers_are_sampled_from_the_weights_of_this_moment(parts: Parts, changes: dict[str, Any]) -> None:
    """With the adapter on instead of merged, and from a whole model in training: the same answers as from a fresh copy
    of the policy with everything merged, and others than before the policy moved."""
    folders = parts.inputs.folders
    policy = make_policy(parts.config(**changes), load_chat_model(folders["base"], folders["finetuned"]))

    def sampled(model: nn.Module) -> list[list[int]]:
        rng = torch.Generator().manual_seed(0)
        return generate(
            model, [[5, 6, 7], [8]] * 4, max_new_tokens=8, temperature=1.0, end_ids=[1], pad_id=0, generator=rng
        )  # type: ignore[arg-type]

    before = sampled(policy.merged)
    with torch.no_grad():
        for param in policy.parameters().values():
            param.add_(0.05)
    policy.refresh()
    fresh = copy.deepcopy(policy.adapted)
    plain = fresh.merge_and_unload() if isinstance(fresh, PeftModel) else fresh
    assert sampled(policy.merged) == sampled(plain) != before


def test_the_critic_starts_as_the_reward_model(parts: Parts, tmp_path: Path) -> None:
    """With readout last, its value of the state after a whole conversation is that conversation's score."""
    inputs = _shared(parts, tmp_path, readout="last")
    learner, scorer = _open(parts, inputs, critic=CriticConfig(kind="adapter", start="reward"))
    text = "<|im_start|>user\nsay the ab<|im_end|>\n<|im_start|>assistant\nsinging the thing<|im_end|>\n"
    ids = parts.tokenizer(text, add_special_tokens=False)["input_ids"]
    value = learner.critic.values(lay_out([ids], [[5]], 0), None)[0, 0]
    assert value.item() == pytest.approx(float(scorer(PROMPTS[:1], ANSWERS[:1])[0]), abs=1e-5)
    assert all(param.requires_grad for param in learner.critic.trained().values())
    assert not any(param.requires_grad for param in learner.policy.trunk.parameters("reward").values())


def test_the_critic_starts_on_a_whole_reward_model_and_leaves_its_scores_alone(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    save_model(_built(parts, 0, method="full", readout="last"), parts.tokenizer, separate=False, folder=folder)
    parts.tokenizer.save_pretrained(folder)
    inputs = replace(parts.inputs, folders={**parts.inputs.folders, "reward": folder})
    before = RewardModel(folder)(PROMPTS, ANSWERS)
    learner, scorer = _open(parts, inputs, critic=CriticConfig(kind="adapter", start="reward"))
    assert scorer.trunk is None
    with torch.no_grad():
        for param in learner.critic.trained().values():
            param.add_(0.1)
    assert torch.equal(scorer(PROMPTS, ANSWERS), before)
    learner.critic.values(lay_out([[5, 6]], [[7, 8, 1]], 0), None).sum().backward()
    assert all(param.grad is not None for param in learner.critic.trained().values())
    assert all(param.grad is None for param in scorer.model.score.parameters())


def test_a_critic_cannot_start_from_a_reward_model_with_other_tokens(parts: Parts) -> None:
    with pytest.raises(BadConfig, match="has another tokenizer than the policy"):
        _open(parts, parts.inputs, critic=CriticConfig(kind="adapter", start="reward"))


def test_an_adapter_of_another_base_is_refused(parts: Parts, tmp_path: Path) -> None:
    inputs = _shared(parts, tmp_path)
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in inputs.folders["finetuned"].iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    (moved / "more.txt").write_text("x")
    with pytest.raises(BadData, match="trained on the finetuned artifact"):
        _open(parts, replace(inputs, folders={**inputs.folders, "finetuned": moved}))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_stage_with_all_four_roles_on_one_base(parts: Parts, tmp_path: Path, method: str) -> None:
    inputs = _shared(parts, tmp_path)
    for name in ("out", "work"):
        (tmp_path / name).mkdir()
    config = parts.config(
        method=method, critic=CriticConfig(kind="adapter", start="reward"), iterations=2, learning_rate=0.01
    )
    metrics = train_ppo(config, inputs, tmp_path / "out", Live(tmp_path / "work"))
    assert metrics["iterations"] == 2
    said = (tmp_path / "work" / "events.jsonl").read_text(encoding="utf-8")
    assert "1 adapter(s) on the policy's own base" in said
    folders = inputs.folders
    aligned = load_chat_model(folders["base"], folders["finetuned"], tmp_path / "out")
    tuned = load_chat_model(folders["base"], folders["finetuned"])
    ids = torch.tensor([[5, 6, 7]])
    assert float((aligned(ids).logits - tuned(ids).logits).abs().max()) > 1e-3
    assert byte_tokenizer(WORDS).get_vocab() == parts.tokenizer.get_vocab()
