"""Scores: where they are read, padding, cutting at the left; folders of every form, and whose adapter it is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_parts import save_models, save_tokenizer

from configs.schema.reward import RewardConfig
from configs.schema.training import LoraSettings
from tasks.adapter import new_adapter
from tasks.chat import encode_conversation, encode_text, end_ids, load_tokenizer, user
from tasks.failures import BadConfig, BadData
from tasks.inputs import Inputs
from tasks.models import load_chat_model, pad_batch
from tasks.reward.model import Built, build
from tasks.reward.save import save_model
from tasks.reward_network import MATCH_SCALE, RewardNetwork
from tasks.scoring import (
    Conversation,
    all_scores,
    encode_answer,
    load_reward,
    member_scores,
    read_heads,
    reward_scores,
)


def built(folder: Path, architecture: str = "llama", **settings: Any) -> Built:
    """A reward model before training, with a head that is not zero; its folders are below the one given."""
    folders = save_models(folder, architecture)
    config = RewardConfig(**{"method": "full", **settings})
    found = build(config, Inputs(folders=folders), load_tokenizer(folders["base"]), 0)
    torch.nn.init.normal_(found.model.score.weight)
    return found


def tiny(folder: Path, architecture: str, readout: str) -> RewardNetwork:
    return built(folder, architecture, readout=readout).model


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("readout", ["mean", "last", "match"])
def test_scores_in_training_and_in_use_are_equal_and_ignore_padding(
    tmp_path: Path, architecture: str, readout: str
) -> None:
    model = tiny(tmp_path, architecture, readout)
    model.train()  # no dropout is left, in training mode either
    rows = [Conversation([5, 6, 7, 0], 1), Conversation([8], 0), Conversation([9, 0, 0, 10, 11, 0], 2)]
    ids_BT, mask_BT = pad_batch([row.ids for row in rows], 0)  # real tokens that are the pad id
    start_B = torch.tensor([row.start for row in rows])
    found = member_scores(model, ids_BT, start_B, mask_BT.sum(1))[:, 0]
    assert torch.allclose(found, reward_scores(model, rows, 0, batch=2), atol=1e-5)
    one = [(torch.tensor([r.ids]), torch.tensor([r.start]), torch.tensor([len(r.ids)])) for r in rows]
    assert torch.allclose(found, torch.cat([member_scores(model, *row)[:, 0] for row in one]), atol=1e-5)
    assert len({round(value, 4) for value in found.tolist()}) == 3


def test_readouts_by_hand(tmp_path: Path) -> None:
    for readout in ("mean", "last"):
        model = tiny(tmp_path / readout, "llama", readout)
        with torch.no_grad():
            value_T = model.score(model.trunk(torch.tensor([[5, 6, 7, 8]])).last_hidden_state)[0, :, 0]
        expected = value_T[2:].mean() if readout == "mean" else value_T[3]
        assert reward_scores(model, [Conversation([5, 6, 7, 8], 2)], 0)[0] == pytest.approx(float(expected), abs=1e-5)


def test_match_starts_as_the_logit_of_what_came_and_survives_the_folder(tmp_path: Path) -> None:
    folders = save_models(tmp_path)
    tokenizer = load_tokenizer(folders["base"])
    made = build(RewardConfig(method="full", readout="match"), Inputs(folders=folders), tokenizer, 0)
    ids = [5, 6, 7, 8]
    with torch.no_grad():
        logit_TV = load_chat_model(folders["base"], folders["finetuned"])(torch.tensor([ids])).logits[0]
    expected = MATCH_SCALE * (logit_TV[1, 7] + logit_TV[2, 8]) / 2
    assert reward_scores(made.model, [Conversation(ids, 2)], 0)[0] == pytest.approx(float(expected), rel=1e-4)
    assert made.model.match is not None
    torch.nn.init.normal_(made.model.match.weight)
    save_model(made, tokenizer, False, tmp_path / "saved")
    loaded = load_reward(tmp_path / "saved")
    found = reward_scores(loaded, [Conversation(ids, 2)], 0)
    assert torch.equal(found, reward_scores(made.model, [Conversation(ids, 2)], 0))
    # A folder is read with the scale that it was trained with
    loaded.set_constants(replace(loaded.reading, match_scale=MATCH_SCALE / 2))
    assert torch.allclose(reward_scores(loaded, [Conversation(ids, 2)], 0), found / 2)


ROWS = [Conversation([5, 6, 7, 8], 2), Conversation([9, 10], 1), Conversation([11, 12, 13, 14, 15, 16], 3)]


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("readout", ["mean", "last", "match"])
def test_an_adapter_scores_the_same_from_its_folder_and_beside_other_adapters(
    tmp_path: Path, architecture: str, readout: str
) -> None:
    """PPO holds policy and reward as adapters on one frozen model: PEFT attaches the folder as it is."""
    made = built(tmp_path, architecture, method="lora", readout=readout)
    for name, weight in made.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    own = reward_scores(made.model, ROWS, 0)
    save_model(made, load_tokenizer(tmp_path / "base"), False, tmp_path / "saved")
    loaded = load_reward(tmp_path / "saved", base=tmp_path / "base", finetuned=tmp_path / "finetuned")
    assert torch.allclose(reward_scores(loaded, ROWS, 0), own, atol=1e-5)

    policy = new_adapter(load_chat_model(tmp_path / "base", tmp_path / "finetuned"), LoraSettings(rank=2), 0)
    policy.load_adapter(tmp_path / "saved", adapter_name="reward")
    trunk = policy.get_base_model().base_model
    reward = read_heads(tmp_path / "saved", trunk)
    policy.set_adapter("reward")
    assert torch.allclose(reward_scores(reward, ROWS, 0), own, atol=2e-5)
    policy.set_adapter("default")  # a fresh adapter changes nothing: the reward's is off
    assert not torch.allclose(reward_scores(reward, ROWS, 0), own, atol=1e-3)


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    made = built(tmp_path / "one", method="lora")
    saved = tmp_path / "saved"
    save_model(made, load_tokenizer(tmp_path / "one/base"), False, saved)
    other = save_models(tmp_path / "two", "gpt2")
    with pytest.raises(BadData, match=r"trained on the base artifact [0-9a-f]{12}, this one is [0-9a-f]{12}"):
        load_reward(saved, base=other["base"], finetuned=tmp_path / "one/finetuned")
    with pytest.raises(BadData, match="trained on the finetuned artifact"):
        load_reward(saved, base=tmp_path / "one/base", finetuned=other["finetuned"])
    with pytest.raises(BadData, match="its base and fine-tuned model are needed too"):
        load_reward(saved)
    about = json.loads((saved / "reward.json").read_text())
    (saved / "reward.json").write_text(json.dumps({**about, "format": 99}))
    with pytest.raises(BadData, match="format 99 of a reward model, this version reads 1: run the reward stage again"):
        load_reward(saved, base=tmp_path / "one/base", finetuned=tmp_path / "one/finetuned")


def test_heads_differ_and_their_deviation_is_the_uncertainty(tmp_path: Path) -> None:
    made = built(tmp_path, members=3)
    score_B, std_B = reward_scores(made.model, ROWS, 0, uncertainty=True)
    each_BM = all_scores(made.model, ROWS, 0)
    assert each_BM.shape == (3, 3)
    assert torch.allclose(score_B, each_BM.mean(1))
    assert torch.allclose(std_B, each_BM.std(1, correction=0))
    assert std_B.min() > 0
    with pytest.raises(BadConfig, match=r"reward\.members of 2 or more"):
        reward_scores(tiny(tmp_path / "one", "llama", "mean"), ROWS, 0, uncertainty=True)


def test_constants_shift_and_scale_each_member(tmp_path: Path) -> None:
    model = built(tmp_path, members=2).model
    raw_BM = all_scores(model, ROWS, 0)
    model.set_constants(replace(model.reading, mean=(1.0, -2.0), std=(2.0, 4.0)))
    expected = (raw_BM - torch.tensor([1.0, -2.0])) / torch.tensor([2.0, 4.0])
    assert torch.allclose(all_scores(model, ROWS, 0), expected)


def test_a_classifier_made_elsewhere_is_read_at_the_last_token(tmp_path: Path) -> None:
    whole = built(tmp_path).whole
    assert whole is not None
    whole.save_pretrained(tmp_path / "theirs")
    with torch.no_grad():
        expected = [float(whole(torch.tensor([row.ids])).logits) for row in ROWS]
    assert reward_scores(load_reward(tmp_path / "theirs"), ROWS, 0).tolist() == pytest.approx(expected, abs=1e-5)


def test_an_empty_conversation_has_no_score(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="without tokens"):
        reward_scores(tiny(tmp_path, "llama", "mean"), [Conversation([], 0)], 0)


def test_long_conversations_lose_their_beginning(tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path)
    whole, _ = encode_conversation(tokenizer, [*user("q" * 50), {"role": "assistant", "content": "an answer"}])
    found = encode_answer(tokenizer, user("q" * 50), "an answer", None)
    answer = [*encode_text(tokenizer, ["an answer"])[0], *end_ids(tokenizer)[1:]]
    assert found.ids == whole
    assert whole[found.start :][: len(answer)] == answer
    cut = encode_answer(tokenizer, user("q" * 50), "an answer", 30)
    assert cut.ids == whole[-30:]
    assert cut.ids[cut.start :] == whole[found.start :]
    assert encode_answer(tokenizer, user("q" * 50), "an answer", 8).start == 0
