"""The rank stage: rankings of K answers a prompt, from data sets and of sampled candidates, split by prompt."""

import hashlib
import json
import math
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.schema.judge import JudgeConfig
from configs.schema.rank import RankConfig
from configs.schema.sources import RankingSource
from tasks.candidate_rows import Candidates, count, read_candidates
from tasks.failures import BadConfig, BadData
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank.judge.rank import rank_by_judge
from tasks.rank.layouts.item import Rejected, Unpaired
from tasks.rank.layouts.source import read_source
from tasks.rank.people import read_people
from tasks.rank.ranker import rank_by_program
from tasks.rank.trust.report import metrics, trust
from tasks.rank.unpaired_rows import write_unpaired
from tasks.rankings import (
    RankedPrompt,
    length_baseline,
    longer_wins,
    merge_rankings,
    pairs,
    prompt_key,
    tied_pairs,
    write_rankings,
)


def build_rankings(config: RankConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Write train.parquet, heldout.parquet, report.json, trust.json and quarantine.jsonl; returns the metrics.

    Answers that were judged alone go to unpaired.parquet. Raises BadData when a source holds nothing that can be
    used, or when there are fewer than two prompts to split.
    """
    items: list[RankedPrompt] = []
    unpaired: list[Unpaired] = []
    rejected: list[Rejected] = []
    for number, source in enumerate(config.sources):
        found, alone, bad = _read(source, inputs.sources[source.path], f"{config.seed}:{number}")
        items, unpaired, rejected = items + found, unpaired + alone, rejected + bad
        more = f", {len(alone)} answers judged alone" if alone else ""
        live.say(f"{source.path}: {len(found)} rankings{more}, {len(bad)} rows quarantined")
    sampled: dict[str, int] = {}
    judged: dict[str, Any] = {}
    if config.rankers:
        candidates = read_candidates(inputs.folders["candidates"])
        ranked, judged = _rank(config, candidates, inputs, live)
        items, sampled = items + ranked, count(candidates)
    merged, duplicates = merge_rankings(items)
    train, heldout = split_by_prompt(merged, config.heldout, config.seed or 0)
    write_rankings(out, "train", train)
    write_rankings(out, "heldout", heldout)
    write_unpaired(out, unpaired)
    _write_quarantine(out, rejected)
    reasons = Counter(row.reason for row in rejected)
    report = describe(train, heldout, len(rejected)) | {
        "quarantine_reasons": dict(sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))),
        "unpaired": len(unpaired),
        "duplicates": duplicates,
        "sampled": sampled,
    }
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    trusted = trust(merged, items, config.seed or 0)
    (out / "trust.json").write_text(json.dumps(trusted, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for one in trusted["flagged"]:
        live.say(f"annotator {one['name']}: {'; '.join(one['reasons'])}")
    return (
        {
            "prompts": report["prompts"],
            "heldout_prompts": report["heldout_prompts"],
            "pairs": report["pairs"],
            "quarantined": len(rejected),
            "candidates_sampled": sampled.get("answers", 0),
            "length_baseline": report["length_baseline"],
        }
        | metrics(trusted)
        | judged
    )


def _rank(
    config: RankConfig, candidates: list[Candidates], inputs: Inputs, live: Live
) -> tuple[list[RankedPrompt], dict[str, Any]]:
    """The candidates as each of the rankers orders them, and what was measured of the judge."""
    items: list[RankedPrompt] = []
    measured: dict[str, Any] = {}
    for ranker in config.rankers:
        if ranker == "people":
            items += _by_people(config, candidates, inputs)
        elif ranker == "judge":
            judge = config.judge or JudgeConfig()
            files = inputs.sources[judge.base] if judge.base else []
            found, measured = rank_by_judge(judge, candidates, files, config.seed or 0, live)
            items += found
        else:
            items += rank_by_program(ranker, candidates)
    return _with_models(items, candidates), measured


def _with_models(items: list[RankedPrompt], candidates: list[Candidates]) -> list[RankedPrompt]:
    """The same items with what wrote each candidate. Of equal answers by several models the first one counts."""
    wrote: dict[tuple[str, str], str] = {}
    for given in candidates:
        for text, model in zip(given.answers, given.models, strict=False):
            wrote.setdefault((prompt_key(given.prompt), text), model)
    return [
        replace(item, models=models) if all(models) else item
        for item in items
        for models in [[wrote.get((item.prompt_key, text), "") for text in item.candidates]]
    ]


def _by_people(config: RankConfig, candidates: list[Candidates], inputs: Inputs) -> list[RankedPrompt]:
    if config.people.path is None:
        raise BadConfig("rank.ranker=people, but rank.people.path is empty: the flow asks for it before this stage")
    return [item for file in inputs.sources[config.people.path] for item in read_people(file, candidates)]


def _read(
    source: RankingSource, files: list[Path], seed: str
) -> tuple[list[RankedPrompt], list[Unpaired], list[Rejected]]:
    found: list[RankedPrompt] = []
    alone: list[Unpaired] = []
    bad: list[Rejected] = []
    for row in read_source(source, files):
        if isinstance(row, Rejected):
            bad.append(row)
        elif isinstance(row, Unpaired):
            alone.append(row)
        else:
            found.append(row)
    if not found and not alone:
        why = f"; the first of {len(bad)}: {bad[0].file}:{bad[0].line}: {bad[0].error}" if bad else ""
        raise BadData(f"{source.path}: no rankings{why}; correct the file or `format` (now {source.format})")
    if source.max_prompts is not None and source.max_prompts < len(found):
        kept = random.Random(seed).sample(range(len(found)), source.max_prompts)
        found = [found[index] for index in sorted(kept)]
    return found, alone, bad


def split_by_prompt(
    items: list[RankedPrompt], share: float, seed: int
) -> tuple[list[RankedPrompt], list[RankedPrompt]]:
    """Train and held-out items; a prompt is on one side only, however often and in whatever source it comes.

    Held out are the ``share`` (rounded, at least one) of the distinct prompts with the smallest hashes, so neither
    the order of the sources nor that of the rows matters. Prompts that differ in white space only are one prompt.
    Raises BadData with fewer than two distinct prompts.
    """
    spelt: dict[str, str] = {}  # of the spellings of a prompt the first in the alphabet
    for item in items:
        spelt[item.split_key] = min(item.prompt_key, spelt.get(item.split_key, item.prompt_key))
    if len(spelt) < 2:
        raise BadData(
            f"{len(spelt)} different prompts with rankings: 2 are needed, one to train on and one to hold out"
        )
    ordered = sorted(spelt, key=lambda key: hashlib.sha256(f"{seed}:{spelt[key]}".encode()).hexdigest())
    count = min(max(round(share * len(ordered)), 1), len(ordered) - 1)
    held = set(ordered[:count])
    return [i for i in items if i.split_key not in held], [i for i in items if i.split_key in held]


def describe(train: list[RankedPrompt], heldout: list[RankedPrompt], rejected: int) -> dict[str, Any]:
    """What report.json says: counts of distinct prompts, rankings, pairs, ties, K and sources; the length bias."""
    items = train + heldout
    longer, baseline = longer_wins(items), length_baseline(items)
    return {
        "prompts": len({item.split_key for item in items}),
        "heldout_prompts": len({item.split_key for item in heldout}),
        "items": len(items),
        "rankings": sum(len(item.ranks) for item in items),
        "pairs": _pairs(items),
        "heldout_pairs": _pairs(heldout),
        "tied_pairs": sum(tied_pairs(ranking) for item in items for ranking in item.ranks),
        "candidates_per_prompt": {
            str(k): n for k, n in sorted(Counter(len(item.candidates) for item in items).items())
        },
        "origins": dict(sorted(Counter(ranking.origin for item in items for ranking in item.rankings).items())),
        # A ranker who only likes long answers would be right this often; no pair, no share
        "longer_wins": None if math.isnan(longer) else longer,
        "length_baseline": None if math.isnan(baseline) else baseline,
        "quarantined": rejected,
    }


def _pairs(items: list[RankedPrompt]) -> int:
    return sum(len(pairs(ranking)) for item in items for ranking in item.ranks)


def _write_quarantine(out: Path, rejected: list[Rejected]) -> None:
    lines = [json.dumps(row.__dict__, ensure_ascii=False) + "\n" for row in rejected]
    (out / "quarantine.jsonl").write_text("".join(lines), encoding="utf-8")
