"""The candidates stage: K answers to each prompt from one model or several, group by group, resumable."""

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.candidates import CandidateConfig, CandidateModel
from tasks.answers import encode_prompts
from tasks.candidate_rows import Candidates, Sampled, count, write_candidates
from tasks.candidates.finished import Answer, Finished
from tasks.candidates.seeds import answer_seed, group_seed, shares
from tasks.chat import decode_answer, end_ids, load_tokenizer, user
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.prompts import read_prompts
from tasks.sampling import Random, generate

FINETUNED = CandidateModel(name="finetuned", stage="finetuned")


def sample_candidates(config: CandidateConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write candidates.parquet; returns the counts prompts, answers, distinct and alone, and the share that ended.

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
    finished = [one.finished for item in items for one in item.sampled]
    return counts | {"finished": sum(finished) / len(finished)}


def _sample(config: CandidateConfig, prompts: list[str], inputs: Inputs, live: Live) -> list[Candidates]:
    """K answers a prompt, one model after the other: one is in memory at a time."""
    models = config.models or [FINETUNED]
    parts = shares(config.candidates, [model.share for model in models])
    done = Finished(live.work / "candidates.jsonl", live.main)
    rows: list[list[tuple[str, Answer]]] = [[] for _ in prompts]
    for index, (model, part) in enumerate(zip(models, parts, strict=True)):
        first = sum(parts[:index])
        answers = _of_model(config, (index, first, part), model, prompts, inputs, done, live)
        for row, given in zip(rows, answers, strict=True):
            row += [(model.name, answer) for answer in given]
    return [
        Candidates(
            user(prompt),
            [answer.text for _, answer in row],
            row[0][1].seed,
            [
                Sampled(name, a.seed, config.temperature, config.top_p, config.top_k, a.tokens, a.finished)
                for name, a in row
            ],
        )
        for prompt, row in zip(prompts, rows, strict=True)
    ]


def _of_model(
    config: CandidateConfig,
    part: tuple[int, int, int],
    asked: CandidateModel,
    prompts: list[str],
    inputs: Inputs,
    done: Finished,
    live: Live,
) -> list[list[Answer]]:
    """The answers of one model to every prompt. part: its number, its first place among the K, its answers a prompt."""
    index, first, share = part
    size = max(config.batch // share, 1)
    starts = list(range(0, len(prompts), size))
    if all((index, number) in done.groups for number in range(len(starts))):
        return [answers for number in range(len(starts)) for answers in done.groups[index, number]]
    sampler = _Sampler(config, asked, inputs, prompts)
    found: list[list[Answer]] = []
    for number, start in enumerate(starts):
        if (index, number) not in done.groups:
            done.add(index, number, _answer(config, part, number, start, sampler.ids[start : start + size], sampler))
        found += done.groups[index, number]
        live.progress(len(prompts) * first + len(found) * share, len(prompts) * config.candidates, "answers")
    return found


class _Sampler:
    """An opened model with its tokenizer, and the prompts as ids."""

    def __init__(self, config: CandidateConfig, asked: CandidateModel, inputs: Inputs, prompts: list[str]) -> None:
        self.config = config
        folder, model = _open(asked, inputs)
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(folder)
        self.model: PreTrainedModel = model.to("cuda") if torch.cuda.is_available() else model  # type: ignore[arg-type]
        self.ids = encode_prompts(self.model, self.tokenizer, prompts, config.max_new_tokens)

    def __call__(self, ids: list[list[int]], random: Random, seeds: list[int]) -> list[Answer]:
        ends = end_ids(self.tokenizer)
        sampled = generate(
            self.model,
            ids,
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            end_ids=ends,
            pad_id=int(self.tokenizer.pad_token_id),
            generator=random,
            batch=len(ids),
            top_p=self.config.top_p,
            top_k=self.config.top_k,
        )
        return [
            Answer(decode_answer(self.tokenizer, answer), seed, len(answer) - ended, ended)
            for answer, seed in zip(sampled, seeds, strict=True)
            for ended in [bool(answer) and answer[-1] in ends]
        ]


def _open(asked: CandidateModel, inputs: Inputs) -> tuple[Path, PreTrainedModel]:
    """The folder of the tokenizer, and the model. Raises BadConfig for a folder that is not there."""
    base, tuned = inputs.folders["base"], inputs.folders["finetuned"]
    if asked.stage == "finetuned":
        return tuned, load_chat_model(base, tuned)
    if asked.stage == "base":
        return tuned, load_chat_model(base)
    files = inputs.sources[asked.base or ""]
    if not files:
        raise BadConfig(f"candidates.models, {asked.name!r}: base={asked.base!r} is not a folder of this machine")
    folder = files[0].parent
    adapter = (folder / "adapter_config.json").is_file()
    tokenizer = folder if (folder / "tokenizer.json").is_file() or not adapter else tuned
    return tokenizer, load_chat_model(base, folder) if adapter else load_chat_model(folder)


def _answer(
    config: CandidateConfig,
    part: tuple[int, int, int],
    number: int,
    start: int,
    group: list[list[int]],
    sampler: _Sampler,
) -> list[list[Answer]]:
    """The answers of one model to one group of prompts, the first of them prompt number ``start``."""
    index, first, share = part
    ids = [prompt for prompt in group for _ in range(share)]
    if config.seeds == "group":
        seeds = [group_seed(config.seed or 0, index, number)] * len(ids)
        random: Random = torch.Generator().manual_seed(seeds[0])
    else:
        places = [(start + row, first + place) for row in range(len(group)) for place in range(share)]
        seeds = [answer_seed(config.seed or 0, *place) for place in places]
        random = [torch.Generator().manual_seed(seed) for seed in seeds]
    answers = sampler(ids, random, seeds)
    for again in range(1, config.distinct_tries + 1 if config.distinct else 1):
        same = _repeated(answers, share)
        if not same:
            break
        seeds = [answer_seed(config.seed or 0, start + row // share, first + row % share, again) for row in same]
        random = [torch.Generator().manual_seed(seed) for seed in seeds]
        for row, answer in zip(same, sampler([ids[row] for row in same], random, seeds), strict=True):
            answers[row] = answer
    return [answers[start : start + share] for start in range(0, len(answers), share)]


def _repeated(answers: list[Answer], share: int) -> list[int]:
    """Numbers of the answers that say what an earlier one to the same prompt says."""
    seen: set[tuple[int, str]] = set()
    found = []
    for row, answer in enumerate(answers):
        key = (row // share, answer.text)
        if key in seen:
            found.append(row)
        seen.add(key)
    return found
