"""The candidates stage: K answers to each prompt from the fine-tuned model, group by group, resumable."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.candidates import CandidateConfig
from tasks.answers import encode_prompts
from tasks.candidate_rows import Candidates, count, write_candidates
from tasks.chat import decode_answer, end_ids, load_tokenizer, user
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.prompts import read_prompts
from tasks.sampling import generate


def sample_candidates(config: CandidateConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write candidates.parquet; returns the counts prompts, answers, distinct and alone.

    Answers of a finished group of prompts are kept in ``live.work``, so that a killed run goes on there.
    """
    prompts = read_prompts(config.prompts, inputs.sources[config.prompts.path])
    items = _sample(config, prompts, inputs, live)
    write_candidates(out, items)
    counts = count(items)
    live.say(
        f"sampled {counts['answers']} answers to {len(prompts)} prompts, {counts['distinct']} of them different; "
        f"{counts['alone']} prompts got a single answer {config.candidates} times: there is nothing to rank"
    )
    return counts


def _sample(config: CandidateConfig, prompts: list[str], inputs: Inputs, live: Live) -> list[Candidates]:
    """K texts a prompt. Each group of prompts has its own generator, seeded by its number: resuming needs no state."""
    folder = inputs.folders["finetuned"]
    tokenizer = load_tokenizer(folder)
    model = load_chat_model(inputs.folders["base"], folder)
    if torch.cuda.is_available():
        model = model.to("cuda")  # type: ignore[arg-type]  # `to` is decorated without types
    encoded = encode_prompts(model, tokenizer, prompts, config.max_new_tokens)
    size = max(config.batch // config.candidates, 1)
    groups = [encoded[start : start + size] for start in range(0, len(encoded), size)]
    done = _Finished(live.work / "candidates.jsonl", live.main)
    items: list[Candidates] = []
    for number, group in enumerate(groups):
        seed = (config.seed or 0) * 1_000_003 + number
        if number not in done.groups:
            done.add(number, _answer(config, seed, group, model, tokenizer))
        asked = prompts[len(items) : len(items) + len(group)]
        items += [Candidates(user(q), texts, seed) for q, texts in zip(asked, done.groups[number], strict=True)]
        live.progress(len(items), len(prompts), "prompts")
    return items


def _answer(
    config: CandidateConfig,
    seed: int,
    group: list[list[int]],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> list[list[str]]:
    sampled = generate(
        model,
        [ids for ids in group for _ in range(config.candidates)],
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        end_ids=end_ids(tokenizer),
        pad_id=int(tokenizer.pad_token_id),
        generator=torch.Generator().manual_seed(seed),
        batch=len(group) * config.candidates,
    )
    texts = [decode_answer(tokenizer, ids) for ids in sampled]
    k = config.candidates
    return [texts[start : start + k] for start in range(0, len(texts), k)]


class _Finished:
    """Answers of finished groups, one JSON line a group; a line that a kill cut short is sampled again."""

    def __init__(self, path: Path, write: bool) -> None:
        self.path, self.write = path, write
        self.groups: dict[int, Any] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            self.groups[row["group"]] = row["answers"]

    def add(self, number: int, answers: list[list[str]]) -> None:
        self.groups[number] = answers
        if self.write:
            with self.path.open("a", encoding="utf-8") as file:
                # The line break first ends what a kill left of the line before
                file.write("\n" + json.dumps({"group": number, "answers": answers}))
