"""The finetune stage: conversations, a LoRA adapter on the base, its answers before and after."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import PreTrainedTokenizerBase

from configs.schema.finetune import FinetuneConfig
from tasks.adapter import new_adapter, save_adapter
from tasks.adapter_fit import Progress, trained_parameters
from tasks.chat import copy_tokenizer, load_tokenizer
from tasks.checkpoint import load_checkpoint
from tasks.failures import BadConfig, BadData
from tasks.finetune.examples import Split, encode, split
from tasks.finetune.measure import measure_folder
from tasks.finetune.trainer import train
from tasks.inputs import Inputs
from tasks.instructions import Messages, Unusable, read_source
from tasks.live import Live
from tasks.models import load_base

SHOWN = 12  # held-out prompts in samples.jsonl


def finetune(config: FinetuneConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Fit a LoRA adapter to instructions, loss on the assistant's tokens only, averaged by tokens.

    Rows that cannot be used are listed in ``quarantine.jsonl``. Metrics before (``…_start``) and after: share of
    held-out instructions that are followed, perplexity of their reference answers. Raises BadData when too few
    rows are usable, Diverged when the loss is not finite.
    """
    if config.lora.targets != "all-linear" and "lm_head" in config.lora.targets:
        raise BadConfig("finetune.lora.targets names lm_head: the trainer takes its weight as it is; leave it out")
    base, seed, state = inputs.folders["base"], config.seed or 0, PartialState()
    tokenizer = load_tokenizer(base)
    conversations, unusable = _read(config, inputs, seed)
    examples, too_long = encode(tokenizer, conversations, config.max_length)
    model = load_base(base)
    positions = getattr(model.config, "max_position_embeddings", None)
    room = None if positions is None else positions - config.max_new_tokens
    parts = split(examples, config.heldout, seed, room)
    live.say(
        f"{len(parts.train)} examples, {len(parts.heldout)} held out, {parts.repeated} with a held-out prompt, "
        f"{too_long} longer than {config.max_length} tokens, {len(unusable)} rows not usable"
    )

    adapted = new_adapter(model, config.lora, seed)
    trained = sum(param.numel() for param in trained_parameters(adapted).values())
    checkpoint = load_checkpoint(live.work / "checkpoints")
    progress = Progress.of(
        checkpoint,
        config.steps,
        lambda: _measure_start(base, tokenizer, parts, config) if state.is_main_process else {},
    )
    state.wait_for_everyone()
    train(config, adapted, tokenizer, parts.train, checkpoint, progress, live)

    metrics: dict[str, Any] = {}
    if state.is_main_process:
        save_adapter(adapted, out, _base_name(inputs))
        copy_tokenizer(base, out)
        progress.curve.write(out)
        _write_lines(out / "quarantine.jsonl", [asdict(row) for row in unusable])
        after, rows = measure_folder(base, [out], tokenizer, parts.heldout, config)
        _write_lines(out / "samples.jsonl", _samples(progress.start["rows"], rows))
        metrics = {f"{name}_start": value for name, value in progress.start["metrics"].items()} | after
        metrics |= {"trainable_parameters": trained, "examples": len(parts.train), "heldout": len(parts.heldout)}
        metrics |= {"too_long": too_long, "quarantined": len(unusable)}
    state.wait_for_everyone()
    return metrics


def _read(config: FinetuneConfig, inputs: Inputs, seed: int) -> tuple[list[Messages], list[Unusable]]:
    conversations: list[Messages] = []
    unusable: list[Unusable] = []
    for source in config.sources:
        if source.path not in inputs.sources:
            raise BadConfig(f"finetune.sources names {source.path!r}, which was not resolved to files")
        usable, rest = read_source(source, inputs.sources[source.path], seed)
        conversations += usable
        unusable += rest
    if not conversations:
        first = f"; the first: {unusable[0].file}:{unusable[0].line}: {unusable[0].error}" if unusable else ""
        raise BadData(f"no usable row in finetune.sources, {len(unusable)} not usable{first}")
    return conversations, unusable


def _measure_start(
    base: Path, tokenizer: PreTrainedTokenizerBase, parts: Split, config: FinetuneConfig
) -> dict[str, Any]:
    metrics, rows = measure_folder(base, [], tokenizer, parts.heldout, config)
    return {"metrics": metrics, "rows": rows[:SHOWN]}


def _base_name(inputs: Inputs) -> str:
    """The base by digest: a path would differ between machines, a name can change its meaning."""
    ref = inputs.refs.get("base")
    return f"sha256:{ref.digest}" if ref is not None else ""


def _samples(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "prompt": old["prompt"],
            "base": old["answer"],
            "finetuned": new["answer"],
            "base_follows": old["follows"],
            "finetuned_follows": new["follows"],
        }
        for old, new in zip(before, after, strict=False)
    ]


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
