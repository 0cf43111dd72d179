"""Scores: where they are read, padding, cutting at the left."""

from pathlib import Path

import pytest
import torch
from tiny_parts import save_models, save_tokenizer
from torch import nn

from tasks.chat import encode_conversation, encode_text, end_ids, load_tokenizer, user
from tasks.failures import BadData
from tasks.models import load_chat_model, pad_batch
from tasks.reward.model import build_reward_model
from tasks.scoring import MATCH_SCALE, Conversation, encode_answer, load_reward, reward_scores, scores


def tiny(folder: Path, architecture: str, readout: str) -> nn.Module:
    folders = save_models(folder, architecture)
    model = build_reward_model(folders["base"], folders["finetuned"], load_tokenizer(folders["base"]), readout)
    torch.nn.init.normal_(model.score.weight)
    return model


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
    found = scores(model, ids_BT, start_B, mask_BT.sum(1))
    assert torch.allclose(found, reward_scores(model, rows, 0, batch=2), atol=1e-5)
    alone = [scores(model, torch.tensor([r.ids]), torch.tensor([r.start]), torch.tensor([len(r.ids)])) for r in rows]
    assert torch.allclose(found, torch.cat(alone), atol=1e-5)
    assert len({round(value, 4) for value in found.tolist()}) == 3


def test_readouts_by_hand(tmp_path: Path) -> None:
    for readout in ("mean", "last"):
        model = tiny(tmp_path / readout, "llama", readout)
        with torch.no_grad():
            value_T = model.score(model.base_model(torch.tensor([[5, 6, 7, 8]])).last_hidden_state)[0, :, 0]
        expected = value_T[2:].mean() if readout == "mean" else value_T[3]
        assert reward_scores(model, [Conversation([5, 6, 7, 8], 2)], 0)[0] == pytest.approx(float(expected), abs=1e-5)


def test_match_starts_as_the_logit_of_what_came_and_survives_the_folder(tmp_path: Path) -> None:
    folders = save_models(tmp_path)
    tokenizer = load_tokenizer(folders["base"])
    model = build_reward_model(folders["base"], folders["finetuned"], tokenizer, "match")
    ids = [5, 6, 7, 8]
    with torch.no_grad():
        logit_TV = load_chat_model(folders["base"], folders["finetuned"])(torch.tensor([ids])).logits[0]
    expected = MATCH_SCALE * (logit_TV[1, 7] + logit_TV[2, 8]) / 2
    assert reward_scores(model, [Conversation(ids, 2)], 0)[0] == pytest.approx(float(expected), rel=1e-4)
    torch.nn.init.normal_(model.match.weight)
    model.save_pretrained(tmp_path / "saved")
    loaded = load_reward(tmp_path / "saved")
    found = reward_scores(loaded, [Conversation(ids, 2)], 0)
    assert torch.equal(found, reward_scores(model, [Conversation(ids, 2)], 0))
    loaded.config.plumbline_match_scale = MATCH_SCALE / 2  # a folder is read with the scale that it was trained with
    assert torch.allclose(reward_scores(loaded, [Conversation(ids, 2)], 0), found / 2)


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
