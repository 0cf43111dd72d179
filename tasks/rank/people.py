"""Candidates ranked by people: the sheet that is given out, and the reading of what comes back."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasks.candidate_rows import Candidates
from tasks.failures import BadData
from tasks.formats import read_rows
from tasks.rank.own import CHECKS, read_own
from tasks.rankings import Messages, RankedPrompt, Ranking, prompt_key

SHOWN = 5  # problems named in one message


def sheet(candidates: Iterable[Candidates]) -> Iterator[str]:
    """JSON lines of prompt, candidates and empty ranks: what a person fills in. Equal answers are given once."""
    for item in candidates:
        if len(item.distinct) > 1:
            row = {"prompt": _plain(item.prompt), "candidates": item.distinct, "ranks": []}
            yield json.dumps(row, ensure_ascii=False) + "\n"


def returned(items: Iterable[RankedPrompt]) -> Iterator[str]:
    """JSON lines of the rankings as they were accepted, each with its annotator and what else is known of it."""
    unknown = asdict(Ranking([]))
    for item in items:
        for ranking in item.rankings:
            about = asdict(ranking)
            known = {name: about[name] for name in CHECKS if about[name] != unknown[name]}
            ranks = [rank or None for rank in ranking.ranks]
            row = {"prompt": _plain(item.prompt), "candidates": item.candidates, "ranks": ranks, **known}
            yield json.dumps(row, ensure_ascii=False) + "\n"


def _plain(prompt: Messages) -> str | Messages:
    return prompt[0]["content"] if len(prompt) == 1 and prompt[0]["role"] == "user" else prompt


def read_people(file: Path, candidates: Iterable[Candidates], annotator: str = "") -> list[RankedPrompt]:
    """Rankings in a filled-in sheet; rows without ranks are not ranked yet. Their origin is people.

    annotator: of the rows that name none. Raises BadData that names line and reason when a row cannot be read, or
    ranks a prompt or an answer that is not among the candidates.
    """
    answers: dict[str, set[str]] = {}
    for item in candidates:
        answers.setdefault(prompt_key(item.prompt), set()).update(item.answers)
    items, problems = [], []
    for line, row, error in read_rows(file):
        if row is not None and not _ranked(row):
            continue
        try:
            items.append(_read(row, error, answers, annotator))
        except ValueError as problem:
            problems.append(f"{file.name}:{line}: {problem}")
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise BadData("; ".join(problems[:SHOWN]) + more)
    return items


def _ranked(row: dict[str, Any]) -> bool:
    ranks = row.get("ranks")
    return ranks is not None and ranks != [] and not (isinstance(ranks, list) and all(rank is None for rank in ranks))


def _read(row: dict[str, Any] | None, error: str, answers: dict[str, set[str]], annotator: str) -> RankedPrompt:
    if row is None:
        raise ValueError(error)
    item = read_own(row, "people", annotator)
    known = answers.get(item.prompt_key)
    if known is None:
        raise ValueError(f"the prompt {item.prompt[-1]['content']!r:.60} is not one of the candidates'")
    strange = [text for text in item.candidates if text not in known]
    if strange:
        raise ValueError(f"{strange[0]!r:.60} is not an answer that was given out for this prompt")
    return item


def prompts_ranked(items: Iterable[RankedPrompt], overlap: int = 1) -> int:
    """Different prompts that so many annotators have ranked: what a target counts. Who has no name is somebody new."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    nameless: Counter[str] = Counter()
    for item in items:
        names = [ranking.annotator for ranking in item.rankings]
        named[item.prompt_key].update(filter(None, names))
        nameless[item.prompt_key] += names.count("")
    return sum(len(names) + nameless[key] >= overlap for key, names in named.items())
