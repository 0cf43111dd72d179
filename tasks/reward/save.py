"""A trained reward model as a folder: what is whole as a Hugging Face model, what is an adapter as a PEFT folder."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerBase

from tasks.adapter import save_adapter
from tasks.reward.model import Built, as_classifier
from tasks.reward_network import FORMAT, Reading, score_of
from tasks.scoring import ABOUT, HEAD, READING


def save_model(built: Built, tokenizer: PreTrainedTokenizerBase, separate: bool, folder: Path) -> None:
    """Write the weights, and how they are read.

    ``separate``: the base is not the fine-tuned model, so an adapter is merged and the folder stands by itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if built.adapted is not None and not separate:
        _save_adapter(built, folder)
    else:
        _save_whole(built, tokenizer, folder)
    write_reading(folder, built.model.reading)


def _save_adapter(built: Built, folder: Path) -> None:
    assert built.adapted is not None
    reading = built.model.reading
    save_adapter(built.adapted, folder, f"sha256:{reading.base}+sha256:{reading.finetuned}")
    heads = {"score": built.model.score.weight}
    if built.model.match is not None:
        heads["match"] = built.model.match.weight
    plain = {name: weight.detach().cpu().contiguous() for name, weight in heads.items()}
    save_file(plain, folder / HEAD, metadata={"format": "pt"})


@torch.no_grad()
def _save_whole(built: Built, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    whole = built.whole
    if built.adapted is not None:
        whole = as_classifier(built.adapted.merge_and_unload(), tokenizer, built.model.reading.members)
        score_of(whole).weight.copy_(built.model.score.weight)
    assert whole is not None
    if built.model.match is not None:
        whole.match = built.model.match
    whole.eval().save_pretrained(folder, safe_serialization=True)


def write_reading(folder: Path, reading: Reading) -> None:
    """Note how scores are read: in config.json of a whole model, in reward.json beside an adapter."""
    config = folder / "config.json"
    if config.is_file():
        values = json.loads(config.read_text(encoding="utf-8"))
        config.write_text(json.dumps({**values, READING: reading.plain()}, indent=2, sort_keys=True) + "\n", "utf-8")
    else:
        write_about(folder, reading.plain())


def write_ensemble(folder: Path, members: int) -> None:
    """Say that the folder holds so many members, each in a folder of its own."""
    write_about(folder, {"format": FORMAT, "ensemble": members})


def write_about(folder: Path, values: dict[str, object]) -> None:
    (folder / ABOUT).write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")
