"""Candidates sampled from the fine-tuned model and ranked by a program."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.rank import CandidateConfig
from tasks.answers import encode_prompts
from tasks.chat import decode_answer, end_ids, load_tokenizer, user
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.prompts import read_prompts
from tasks.rankings import RankedPrompt, ranked_prompt
from tasks.sampling import generate


def sample_rankings(
    config: CandidateConfig, seed: int, inputs: Inputs, live: Live
) -> tuple[list[RankedPrompt], dict[str, int]]:
    """K answers to each prompt, ranked; and the counts prompts, answers, distinct, alone, tied_out.

    A prompt whose answers are all the same gives no ranking: it is counted as `alone` and left out.
    Answers of a finished group of prompts are kept in ``live.work``, so that a killed run goes on there.
    """
    prompts = read_prompts(config.prompts, inputs.sources[config.prompts.path])
    answers = _sample(config, seed, prompts, inputs, live)
    items, distinct = [], 0
    for prompt, texts in zip(prompts, answers, strict=True):
        distinct += len(set(texts))
        if len(set(texts)) > 1:
            ranks = rank_answers(config.ranker, prompt, texts)
            items.append(ranked_prompt(user(prompt), texts, [ranks], "sampled"))
    counts = {
        "prompts": len(prompts),
        "answers": sum(len(texts) for texts in answers),
        "distinct": distinct,
        "alone": len(prompts) - len(items),
    }
    live.say(
        f"sampled {counts['answers']} answers to {len(prompts)} prompts, {distinct} of them different; "
        f"{counts['alone']} prompts got a single answer {config.candidates} times and are left out"
    )
    return items, counts


def rank_answers(ranker: str, prompt: str, texts: list[str]) -> list[int]:
    """Ranks from 1; equal values tie. rubric: the small world's score, high to low. shortest: fewest characters.

    Raises BadConfig when the rubric meets a prompt that is not of the small world.
    """
    if ranker == "shortest":
        values = [float(len(text)) for text in texts]
    else:
        from tasks.world.rubric import score  # only the small world needs it

        try:
            values = [-round(score(prompt, text), 9) for text in texts]
        except ValueError as error:
            raise BadConfig(f"rank.sampled.ranker: rubric, but a prompt is {error}; set `ranker: shortest`") from error
    order = sorted(set(values))
    return [order.index(value) + 1 for value in values]


def _sample(config: CandidateConfig, seed: int, prompts: list[str], inputs: Inputs, live: Live) -> list[list[str]]:
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
    answers: list[list[str]] = []
    for number, group in enumerate(groups):
        if number not in done.groups:
            done.add(number, _answer(config, seed, number, group, model, tokenizer))
        answers += done.groups[number]
        live.progress(len(answers), len(prompts), "prompts")
    return answers


def _answer(
    config: CandidateConfig,
    seed: int,
    number: int,
    group: list[list[int]],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> list[list[str]]:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    sampled = generate(
        model,
        [ids for ids in group for _ in range(config.candidates)],
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        end_ids=end_ids(tokenizer),
        pad_id=int(tokenizer.pad_token_id),
        generator=generator,
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
