"""Scores of a reward model: opening its folder, which tokens are read, and the numbers; for every stage that scores."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, overload

import torch
from peft import PeftModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from tasks.artifacts.digest import digest_of
from tasks.chat import encode_conversation, encode_prompt
from tasks.failures import BadConfig, BadData
from tasks.models import expect_files, length_batches, load_chat_model, pad_batch, switch_off_dropout
from tasks.reward_network import AnyReward, Ensemble, Reading, RewardNetwork, match_head, score_of, trunk_of

Messages = list[dict[str, str]]
Some = TypeVar("Some", RewardNetwork, Ensemble)
ABOUT = "reward.json"  # beside an adapter, and above the members of an ensemble
READING = "plumbline_reward"  # attribute of a whole model's config.json
HEAD = "head.safetensors"  # score [M, D] and, with readout "match", match [1, D]


class Conversation(NamedTuple):
    """Token ids of a prompt and its answer, and the first position of the answer."""

    ids: list[int]
    start: int


def encode_answer(
    tokenizer: PreTrainedTokenizerBase, prompt: Messages, answer: str, max_length: int | None
) -> Conversation:
    """Prompt and answer in the reward model's own template. A longer conversation is cut at the left, so that the
    answer stays; an answer longer than ``max_length`` begins at 0.
    """
    ids, _ = encode_conversation(tokenizer, [*prompt, {"role": "assistant", "content": answer}])
    start = len(encode_prompt(tokenizer, prompt))
    cut = max(len(ids) - max_length, 0) if max_length else 0
    return Conversation(ids[cut:], max(start - cut, 0))


def load_reward(folder: Path, base: Path | None = None, finetuned: Path | None = None) -> AnyReward:
    """The reward model of a folder, frozen, float32, in evaluation mode.

    A whole model (a sequence classifier, ours or another's), an adapter on ``base`` + ``finetuned``, or an ensemble
    of either. Raises BadData when the folder is incomplete, or when it is an adapter of another base.
    """
    about = _about(folder)
    if about is not None and "ensemble" in about:
        return _load_ensemble(folder, int(about["ensemble"]), base, finetuned)
    if (folder / "adapter_config.json").is_file():
        trunk = trunk_of(load_chat_model(*_adapter_on(folder, base, finetuned), folder))
        return _rest(read_heads(folder, trunk))
    return _rest(_load_whole(folder))


def read_heads(folder: Path, trunk: PreTrainedModel) -> RewardNetwork:
    """The heads of an adapter's folder on a trunk that carries the adapter already, as in PPO, where policy and reward
    are adapters on one frozen model.
    """
    expect_files(folder, HEAD, ABOUT)
    try:
        weights = load_file(folder / HEAD)
        score = nn.Linear(weights["score"].shape[1], weights["score"].shape[0], bias=False)
        score.load_state_dict({"weight": weights["score"]})
        match = None
        if "match" in weights:
            match = match_head(score.in_features, tied=False)
            match.load_state_dict({"weight": weights["match"]})
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise BadData(f"{folder.name}/{HEAD} is not what the reward stage writes: {error}") from error
    return RewardNetwork(trunk, score, match, Reading.of(_about(folder) or {}, f"{folder.name}/{ABOUT}"))


def _load_whole(folder: Path) -> RewardNetwork:
    expect_files(folder, "config.json", "*.safetensors")
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    said = getattr(model.config, READING, None)
    reading = Reading.of(said, f"{folder.name}/config.json") if said else Reading()
    if model.config.num_labels != reading.members:
        raise BadData(
            f"{folder.name}: a reward model has {reading.members} output, this one has {model.config.num_labels}"
        )
    match = None
    if reading.readout == "match":
        match = match_head(model.config.hidden_size, tied=False)
        match.load_state_dict({"weight": _tensor(folder, "match.weight").float()})
    return RewardNetwork(trunk_of(switch_off_dropout(model)), score_of(model), match, reading)


def _load_ensemble(folder: Path, members: int, base: Path | None, finetuned: Path | None) -> Ensemble:
    """Whole members each by themselves; adapters share one trunk and take turns on it."""
    folders = [member_folder(folder, number) for number in range(members)]
    if not (folders[0] / "adapter_config.json").is_file():
        return _rest(Ensemble([_load_whole(one) for one in folders]))
    first, names = folders[0], [one.name for one in folders]
    adapted = PeftModel.from_pretrained(
        load_chat_model(*_adapter_on(first, base, finetuned)), first, adapter_name=names[0], torch_device="cpu"
    )
    for one in folders[1:]:
        expect_files(one, "adapter_config.json", "adapter_model.safetensors")
        adapted.load_adapter(one, adapter_name=one.name, torch_device="cpu")
    trunk = trunk_of(adapted.get_base_model())
    return _rest(
        Ensemble(
            [read_heads(one, trunk) for one in folders],
            lambda number: adapted.set_adapter(names[number], inference_mode=True),
        )
    )


def member_folder(folder: Path, number: int) -> Path:
    """Where an ensemble keeps a member, counted from 0."""
    return folder / f"member-{number + 1}"


def _adapter_on(folder: Path, base: Path | None, finetuned: Path | None) -> tuple[Path, Path]:
    """The models that an adapter belongs to. Raises BadData when they are missing or others."""
    expect_files(folder, "adapter_config.json", "adapter_model.safetensors", HEAD, ABOUT)
    if base is None or finetuned is None:
        raise BadData(f"{folder.name}: the reward model is an adapter; its base and fine-tuned model are needed too")
    reading = Reading.of(_about(folder) or {}, f"{folder.name}/{ABOUT}")
    for name, given in (("base", base), ("finetuned", finetuned)):
        expected, found = getattr(reading, name), digest_of(given)
        if found != expected:
            raise BadData(
                f"{folder.name}: the reward adapter was trained on the {name} artifact {expected[:12]}, this one is "
                f"{found[:12]}: run the reward stage again on it"
            )
    return base, finetuned


def _about(folder: Path) -> dict[str, Any] | None:
    path = folder / ABOUT
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadData(f"{folder.name}/{ABOUT} is not JSON: {error}") from error
    return said if isinstance(said, dict) else {}


def _tensor(folder: Path, name: str) -> Tensor:
    """One tensor of a model's folder, whatever file it is in."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            if name in file.keys():  # noqa: SIM118 - a handle, not a mapping
                return file.get_tensor(name)
    raise BadData(f"{folder.name}: no {name} in its safetensors files: run the reward stage again")


def _rest(model: Some) -> Some:
    """Frozen and in evaluation mode."""
    return model.eval().requires_grad_(False)


@contextmanager
def quiet() -> Iterator[None]:
    """transformers names the match head as unexpected: it is ours, and read right after."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def member_scores(model: AnyReward, ids_BT: Tensor, start_B: Tensor, length_B: Tensor) -> Tensor:
    """Scores [B, M] of all members, shifted and scaled by the constants of the folder."""
    reading, raw_BM = model.reading, model(ids_BT, start_B, length_B)
    mean_M, std_M = (torch.tensor(values, device=raw_BM.device) for values in (reading.mean, reading.std))
    return (raw_BM - mean_M) / std_M


@overload
def reward_scores(
    model: AnyReward, rows: list[Conversation], pad_id: int, batch: int = 64, *, uncertainty: Literal[False] = False
) -> Tensor: ...


@overload
def reward_scores(
    model: AnyReward, rows: list[Conversation], pad_id: int, batch: int = 64, *, uncertainty: Literal[True]
) -> tuple[Tensor, Tensor]: ...


def reward_scores(
    model: AnyReward, rows: list[Conversation], pad_id: int, batch: int = 64, *, uncertainty: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Scores [B] on the CPU, in the order given; rows of like length share a pass.

    The score is the members' mean. uncertainty: their standard deviation [B] too. Raises BadData for an empty row,
    BadConfig when one member is asked for its uncertainty.
    """
    if uncertainty and model.reading.members == 1:
        raise BadConfig("a reward model with one member has no uncertainty: train it with reward.members of 2 or more")
    score_BM = all_scores(model, rows, pad_id, batch)
    return (score_BM.mean(1), score_BM.std(1, correction=0)) if uncertainty else score_BM.mean(1)


@torch.no_grad()
def all_scores(model: AnyReward, rows: list[Conversation], pad_id: int, batch: int = 64) -> Tensor:
    """Scores [B, M] of every member on the CPU, in the order given. Raises BadData for an empty row."""
    if any(not row.ids for row in rows):
        raise BadData("a conversation without tokens has no score")
    model.eval()
    score_BM = torch.zeros(len(rows), model.reading.members)
    for chosen in length_batches([row.ids for row in rows], batch):
        ids_BT, mask_BT = pad_batch([rows[index].ids for index in chosen], pad_id)
        start_B = torch.tensor([rows[index].start for index in chosen])
        found = member_scores(model, *(one.to(model.device) for one in (ids_BT, start_B, mask_BT.sum(1))))
        score_BM[torch.tensor(chosen)] = found.cpu()
    return score_BM
