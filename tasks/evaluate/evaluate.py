"""The evaluate stage: base, fine-tuned and aligned model on the same held-out text and prompts."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.evaluate import EvaluateConfig
from tasks.answers import encode_prompts
from tasks.chat import end_ids, load_tokenizer
from tasks.corpus_shards import read_shards
from tasks.documents import cut, encode_documents
from tasks.evaluate.answers import Judge, answer_rows, summary, win_rate
from tasks.evaluate.divergence import answer_kl
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.perplexity import perplexity
from tasks.prompts import read_prompts
from tasks.sampling import generate

MODELS = ("base", "finetuned", "aligned")


def evaluate(config: EvaluateConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write evaluation.json and samples.jsonl; returns each measure as MEASURE_MODEL, with kl and win_rate.

    A measure of a model: perplexity of held-out text (a token); instruction_following (share), reward and its
    standard deviation, length (tokens), ended (share) and distinct_2 of greedy answers; rubric if asked for.
    kl: nats an answer that the aligned model is from the fine-tuned one. win_rate: aligned against fine-tuned.
    """
    folders = inputs.folders
    prompts = read_prompts(config.prompts, inputs.sources[config.prompts.path])
    tokenizer = load_tokenizer(folders["finetuned"])
    pad_id = int(tokenizer.pad_token_id)
    text = heldout_text(config, tokenizer, folders["corpus"])
    judge = Judge(folders, device())
    answers: dict[str, list[dict[str, Any]]] = {}
    found: dict[str, dict[str, float]] = {}
    for number, name in enumerate(MODELS):
        model = open_model(name, inputs)
        answers[name] = answer_rows(config, model, tokenizer, prompts, judge)
        limit = getattr(model.config, "max_position_embeddings", None)
        found[name] = {
            "perplexity": perplexity(model, cut(text, limit or config.max_length), pad_id),
            **summary(answers[name]),
        }
        live.progress(number + 1, len(MODELS) + 1, "measurements")
    drift = {
        "kl": distance(config, inputs, tokenizer, prompts),
        "win_rate": win_rate(answers["aligned"], answers["finetuned"]),
    }
    live.progress(len(MODELS) + 1, len(MODELS) + 1, "measurements")
    report = {"models": found, "prompts": len(prompts), "documents": len(text), **drift}
    (out / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    write_samples(out / "samples.jsonl", answers, config.samples)
    flat = {f"{measure}_{name}": value for name, values in found.items() for measure, value in values.items()}
    return {"prompts": len(prompts), "documents": len(text), **flat, **drift}


def open_model(name: str, inputs: Inputs) -> PreTrainedModel:
    """One of base, finetuned (base + adapter) and aligned (base + both adapters), merged, on the fastest device."""
    adapters = [inputs.folders[adapter] for adapter in MODELS[1 : MODELS.index(name) + 1]]
    model = load_chat_model(inputs.folders["base"], *adapters)
    return model.to(device())  # type: ignore[arg-type]  # transformers decorates `to` without types


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def heldout_text(config: EvaluateConfig, tokenizer: PreTrainedTokenizerBase, corpus: Path) -> list[list[int]]:
    """The first held-out documents as token ids, as in pretraining; of longer ones the first max_length tokens."""
    rows = list(islice(read_shards(corpus, "heldout"), config.heldout_documents))
    return cut(encode_documents(tokenizer, rows), config.max_length)


def distance(config: EvaluateConfig, inputs: Inputs, tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> float:
    """KL(aligned || finetuned) in nats an answer, on one answer a prompt sampled from aligned at temperature 1."""
    aligned, finetuned = open_model("aligned", inputs), open_model("finetuned", inputs)
    encoded = encode_prompts(aligned, tokenizer, prompts, config.max_new_tokens)
    answers = generate(
        aligned,
        encoded,
        max_new_tokens=config.max_new_tokens,
        temperature=1.0,
        end_ids=end_ids(tokenizer),
        pad_id=int(tokenizer.pad_token_id),
        generator=torch.Generator().manual_seed(config.seed or 0),
    )
    return answer_kl(aligned, finetuned, encoded, answers, int(tokenizer.pad_token_id))


def write_samples(path: Path, answers: dict[str, list[dict[str, Any]]], count: int) -> None:
    """The answers of all models to the first prompts, side by side."""
    lines = []
    for row in zip(*(answers[name][:count] for name in MODELS), strict=True):
        side = dict(zip(MODELS, row, strict=True))
        line = {
            "prompt": row[0]["prompt"],
            **{name: said["answer"] for name, said in side.items()},
            "reward": {name: said["reward"] for name, said in side.items()},
            "follows": {name: said["follows"] for name, said in side.items()},
        }
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
