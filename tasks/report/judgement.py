"""The judgement of the reward model on the page: pictures, tables and the errors that it is surest of."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tasks.report.chart import Chart, line_chart
from tasks.report.numbers import ABSENT, number, percent, show
from tasks.report.read import read_object

TABLES = {
    "by_rank_distance": "ranks apart",
    "by_candidates": "answers a prompt",
    "by_origin": "where the ranking comes from",
    "by_annotator": "annotator",
}
MOST_ROWS = 12  # of a table; the rest is in judgement.json


@dataclass(frozen=True)
class Part:
    """Accuracy of some of the held-out pairs: which, share, 95 % interval, number."""

    name: str
    accuracy: str
    interval: str
    pairs: str


@dataclass(frozen=True)
class Judgement:
    """What the page shows: tables by heading, charts, sentences, and (prompt, better, worse, how sure) of errors."""

    overall: list[Part]
    tables: list[tuple[str, list[Part]]]
    charts: list[Chart]
    remarks: list[str]
    errors: list[tuple[str, str, str, str]]


def judgement(folder: Path | None) -> Judgement | None:
    """From judgement.json of the reward stage; None where there is none."""
    found = read_object(folder / "judgement.json") if folder else None
    if not found:
        return None
    length = found.get("length_baseline", {})
    overall = [
        _part("reward model", found.get("accuracy", {})),
        _part(f"length alone ({length.get('rule', 'length')} wins)", length),
        _part("scores at random", found.get("random_baseline", {})),
    ]
    tables = [
        (heading, [_part(name or "(not known)", row) for name, row in _largest(found.get(key, {}))])
        for key, heading in TABLES.items()
        if len(found.get(key, {})) > 1
    ]
    charts = [chart for chart in (_calibration(found.get("calibration", {})), _scores(found.get("histogram"))) if chart]
    errors = [
        (str(row["prompt"]), str(row["better"]), str(row["worse"]), percent(row["confidence"]))
        for row in found.get("confidently_wrong", [])
    ]
    return Judgement(overall, tables, charts, _remarks(found), errors)


def _part(name: str, row: Mapping[str, Any]) -> Part:
    low, high = number(row.get("low")), number(row.get("high"))
    interval = ABSENT if low is None or high is None else f"{percent(low)} to {percent(high)}"
    return Part(name, percent(row.get("value")), interval, show(row.get("pairs")))


def _largest(rows: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The groups with most pairs, in the order of the file."""
    kept = sorted(rows, key=lambda name: -rows[name]["pairs"])[:MOST_ROWS]
    return [(name, row) for name, row in sorted(rows.items(), key=_by_number) if name in kept]


def _by_number(row: tuple[str, Any]) -> tuple[float, str]:
    return (float(row[0]), "") if row[0].isdigit() else (float("inf"), row[0])


def _calibration(found: Mapping[str, Any]) -> Chart | None:
    if not found.get("curve"):
        return None

    def points(name: str) -> list[tuple[float, float]]:
        return sorted((row["confidence"], row["accuracy"]) for row in found.get(name, []))

    return line_chart(
        "Calibration",
        "share ordered rightly",
        "confidence",
        "How often the model is right where it is so sure (sigmoid of the gap of two scores). On the line of the "
        "ideal, its gaps are probabilities; below it, the model is too sure of itself.",
        {
            "as trained": points("curve"),
            "with a temperature": points("curve_after_temperature"),
            "ideal": [(0.5, 0.5), (1.0, 1.0)],
        },
        noisy=False,
    )


def _scores(found: Mapping[str, Any] | None) -> Chart | None:
    if not found:
        return None
    edges = found["edges"]
    centres = [(low + high) / 2 for low, high in pairwise(edges)]

    def shares(name: str) -> list[tuple[float, float]]:
        total = sum(found[name])
        return [(at, count / total) for at, count in zip(centres, found[name], strict=True)]

    return line_chart(
        "Scores of the better and of the worse answer",
        "share of pairs",
        "score",
        "What the model gives to both answers of each held-out pair. The less the curves overlap, the better it tells "
        "them apart.",
        {"better": shares("better"), "worse": shares("worse")},
        noisy=False,
    )


def _remarks(found: Mapping[str, Any]) -> list[str]:
    known, length = found.get("calibration", {}), found.get("length_correlation", {})
    said = [f"Expected calibration error {show(known.get('ece'))}"]
    if known.get("temperature") is not None:
        said[0] += (
            f"; of one half of the prompts {show(known['ece_other_half'])}, with a temperature of "
            f"{show(known['temperature'])} fitted on the other half {show(known['ece_after_temperature'])}"
        )
    if length.get("all") is not None:
        said.append(f"Rank correlation of score and length {show(length['all'])}")
        if length.get("within_prompt") is not None:
            said[-1] += f", within a prompt {show(length['within_prompt'])}"
    if members := found.get("ensemble"):
        said.append(
            f"The {len(members['members'])} members agree on {show(members['unanimous']['pairs'])} pairs, of which "
            f"{percent(members['unanimous']['accuracy'])} are ordered rightly, of the others "
            f"{percent(members['divided']['accuracy'])}; rank correlation of disagreement and error "
            f"{show(members['error_correlation'])}"
        )
    return [f"{one}." for one in said]
