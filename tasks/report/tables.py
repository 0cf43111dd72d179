"""Tables and bars of the page: corpus funnel, probes, the three models, their samples, settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.report.numbers import number, percent, show, words
from tasks.report.read import Row, read_object, read_rows, reject_reasons

MODELS = {"base": "Base", "finetuned": "Fine-tuned", "aligned": "Aligned"}


@dataclass(frozen=True)
class FunnelRow:
    """What became of documents: label, count, share of all that were read, and whether they were kept."""

    label: str
    count: str
    share: str
    width: float
    kept: bool


@dataclass(frozen=True)
class Bar:
    """One probe: attribute, accuracy as text, place and length in the bars' own units, better than chance."""

    label: str
    value: str
    y: float
    length: float


@dataclass(frozen=True)
class Answer:
    """One model's answer to a prompt."""

    model: str
    text: str
    reward: str
    follows: bool | None


@dataclass(frozen=True)
class Sample:
    """A prompt with the models' answers."""

    prompt: str
    answers: list[Answer]


def funnel(corpus: Path, metrics: Mapping[str, Any]) -> list[FunnelRow]:
    """Documents read, kept, held out, dropped by reason, and unreadable; [] when nothing was counted."""
    reasons = reject_reasons(corpus)
    kept, total = number(metrics.get("kept")), number(metrics.get("documents_in"))
    if total is None:
        total = (kept or 0) + sum(reasons.values())
    if not total:
        return []
    counted: list[tuple[str, float | None, bool]] = [("Read", total, True), ("Kept", kept, True)]
    counted.append(("Kept, held out for measuring", number(metrics.get("heldout")), True))
    counted += [(f"Dropped: {words(reason)}", float(count), False) for reason, count in reasons.items()]
    if unreadable := number(metrics.get("quarantined")):
        counted.append(("Unreadable, set aside", unreadable, False))
    return [
        FunnelRow(label, show(round(count)), percent(count / total), round(100 * min(count / total, 1), 2), is_kept)
        for label, count, is_kept in counted
        if count is not None
    ]


def bars(accuracies: Mapping[str, float], height: float = 30, full: float = 230) -> list[Bar]:
    """Lay out one bar an attribute, in the given order; ``full`` is the length of accuracy 1."""
    return [
        Bar(words(name), percent(share), index * height, round(share * full, 2))
        for index, (name, share) in enumerate(accuracies.items())
    ]


def comparison(evaluation: Path) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The models' names and every numeric measurement of evaluation.json as (measure, value a model)."""
    found = (read_object(evaluation / "evaluation.json") or {}).get("models", {})
    models = [name for name in MODELS if isinstance(found.get(name), dict)]
    models += sorted(name for name, value in found.items() if name not in MODELS and isinstance(value, dict))
    measures = list(dict.fromkeys(name for model in models for name, value in found[model].items() if _scalar(value)))
    rows = [(words(name), [show(found[model].get(name)) for model in models]) for name in measures]
    return [MODELS.get(name, words(name)) for name in models], rows


def samples(evaluation: Path) -> list[Sample]:
    """Prompts with the answers of base, fine-tuned and aligned model, in the order of samples.jsonl."""
    return [
        Sample(_text(row.get("prompt")), [_answer(row, key, name) for key, name in MODELS.items()])
        for row in read_rows(evaluation / "samples.jsonl")
    ]


def _answer(row: Row, key: str, name: str) -> Answer:
    rewards, follows = row.get("reward"), row.get("follows")
    reward = number(rewards.get(key)) if isinstance(rewards, dict) else None
    mark = follows.get(key) if isinstance(follows, dict) else None
    return Answer(
        name,
        _text(row.get(key)),
        "" if reward is None else show(reward),
        mark if isinstance(mark, bool) else None,
    )


def _text(value: Any) -> str:
    """Prompts may be plain text or a list of messages."""
    if isinstance(value, list):
        return "\n\n".join(str(item.get("content", "")) if isinstance(item, dict) else str(item) for item in value)
    return "" if value is None else str(value)


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


# What the artifacts themselves say about how they were made: words for the page ← names in the file.
MODEL_FILE = {
    "architecture": ("model_type",),
    "width": ("hidden_size", "n_embd"),
    "layers": ("num_hidden_layers", "n_layer"),
    "attention heads": ("num_attention_heads", "n_head"),
    "feed-forward width": ("intermediate_size", "n_inner"),
    "context, tokens": ("max_position_embeddings", "n_positions"),
    "vocabulary, tokens": ("vocab_size",),
    "tied embeddings": ("tie_word_embeddings",),
}
ADAPTER_FILE = {
    "method": ("peft_type",),
    "rank": ("r",),
    "alpha": ("lora_alpha",),
    "dropout": ("lora_dropout",),
    "adapted modules": ("target_modules",),
}


def settings(folder: Path) -> list[tuple[str, str]]:
    """Shape of a model or adapter as (setting, value), from the files in its artifact."""
    for name, known in (("adapter_config.json", ADAPTER_FILE), ("config.json", MODEL_FILE)):
        values = read_object(folder / name)
        if values is not None:
            found = {
                label: next((values[key] for key in keys if values.get(key) is not None), None)
                for label, keys in known.items()
            }
            return [(label, show(_ordered(value))) for label, value in found.items() if value is not None]
    return []


def _ordered(value: Any) -> Any:
    """PEFT writes target modules in the order of a set."""
    return sorted(map(str, value)) if isinstance(value, list) else value
