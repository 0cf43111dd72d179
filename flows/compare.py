"""`plumbline compare RUN RUN …`: methods of alignment side by side, one row a run."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.show import show_number
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadConfig, StageFailure
from tasks.run import RunRecord, find_run, store_of
from tasks.stages import ALIGNERS

ABSENT = "–"
# What two runs have to have in common for their figures to mean the same
START = ("finetune", "reward")
EVALUATED = ("prompts", "heldout", "heldout_samples", "temperature", "max_new_tokens", "rewards")
HEADINGS = (
    "method",
    "reward",
    "KL",
    "wins",
    "rubric",
    "length",
    "ended",
    "perplexity",
    "preferred",
    "steps",
    "seconds",
    "trained",
)
MEANING = (
    "reward, KL (nats an answer), rubric, length (tokens) and ended: sampled answers to held-out prompts, start → end; "
    "wins: greedy answers with a higher reward than the start's; perplexity: held-out text; preferred: held-out pairs "
    "whose better answer gained more; seconds: the alignment stage when it was made; trained: parameters"
)


def print_comparison(names: list[str], markdown: bool, as_json: bool) -> None:
    """One table of the runs. Raises BadConfig for an unknown run, and for one that has not aligned anything."""
    runs = [find_run(name) for name in names]
    rows = [measure(record) for record in runs]
    notes = differences(runs)
    if as_json:
        print(json.dumps({"rows": rows, "notes": notes}))
        return
    cells = [shown(row) for row in rows]
    if markdown:
        print("\n".join(f"| {' | '.join(line)} |" for line in (HEADINGS, ["---"] * len(HEADINGS), *cells)))
        print("\n".join(["", MEANING, *notes]))
        return
    console = Console(highlight=False)
    table = Table(*HEADINGS)
    for line in cells:
        table.add_row(*line)
    console.print(table, markup=False)
    for text in (MEANING, *notes):
        console.print(text, markup=False, soft_wrap=True)
    console.print(f"\nnext: plumbline diff {runs[0].run} {runs[-1].run}", soft_wrap=True)


def measure(record: RunRecord) -> dict[str, Any]:
    """The figures of a run by name; None for what was not measured."""
    found = {row["name"]: row for row in record.stages}
    row = next((found[name] for name in ALIGNERS if found.get(name, {}).get("uri")), None)
    if row is None:
        raise BadConfig(f"run {record.run} has no artifact of {' or '.join(ALIGNERS)}: it has not aligned a model yet")
    aligned, scores = row["metrics"], found.get("evaluate", {}).get("metrics", {})
    names = ("reward_start", "reward", "kl", "rubric_start", "rubric", "length_start", "length", "ended_start", "ended")
    return {
        "run": record.run,
        "method": aligned.get("method", "ppo"),
        **{name: aligned.get(name) for name in names},
        "wins": scores.get("win_rate"),
        "perplexity_start": scores.get("perplexity_finetuned"),
        "perplexity": scores.get("perplexity_aligned"),
        "preferred": aligned.get("preferred"),
        "steps": aligned.get("steps", _ppo_steps(record, aligned)),
        "seconds": _seconds(record, row),
        "trained": aligned.get("trainable_parameters"),
        "stopped": aligned.get("stopped") or None,
    }


def shown(row: dict[str, Any]) -> list[str]:
    """A row of the table, under ``HEADINGS``."""
    reward, rubric, length = (_change(row, name) for name in ("reward", "rubric", "length"))
    seconds = ABSENT if row["seconds"] is None else f"{row['seconds']:.0f}"
    trained = ABSENT if row["trained"] is None else f"{row['trained']:,}"
    return [
        row["method"] + (" (stopped early)" if row["stopped"] else ""),
        reward,
        _number(row["kl"]),
        _percent(row["wins"]),
        rubric,
        length,
        f"{_percent(row['ended_start'])} → {_percent(row['ended'])}",
        _change(row, "perplexity"),
        _percent(row["preferred"]),
        _number(row["steps"]),
        seconds,
        trained,
    ]


def differences(runs: list[RunRecord]) -> list[str]:
    """Why figures of these runs are not of the same thing: other starts, other reward models, other questions."""
    notes = []
    for stage in START:
        digests = {next((row["artifact"] for row in record.stages if row["name"] == stage), None) for record in runs}
        if len(digests) > 1:
            notes.append(f"not the same {stage} artifact in all runs: their rewards and starts cannot be compared")
    for name in EVALUATED:
        values = {json.dumps(_setting(record, name), sort_keys=True) for record in runs}
        if len(values) > 1:
            notes.append(f"not the same {name} in all runs: {' and '.join(sorted(values))}")
    return notes


def _setting(record: RunRecord, name: str) -> Any:
    method = (record.config.get("align") or {}).get("method", "ppo")
    return (record.config.get("ppo" if method == "ppo" else "trl") or {}).get(name)


def _ppo_steps(record: RunRecord, aligned: dict[str, Any]) -> int | None:
    settings = record.config.get("ppo") or {}
    if not {"epochs", "batch", "minibatch"} <= settings.keys() or "iterations" not in aligned:
        return None
    return int(aligned["iterations"] * settings["epochs"] * -(-settings["batch"] // settings["minibatch"]))


def _seconds(record: RunRecord, row: dict[str, Any]) -> float | None:
    """What making the artifact took, in whichever run that was."""
    ref = ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"])
    try:
        return float(store_of(record).manifest(ref).seconds)
    except StageFailure:
        return None


def _change(row: dict[str, Any], name: str) -> str:
    start, end = row[f"{name}_start"], row[name]
    return ABSENT if start is None and end is None else f"{_number(start)} → {_number(end)}"


def _number(value: Any) -> str:
    return ABSENT if value is None else show_number(value)


def _percent(value: Any) -> str:
    return ABSENT if value is None else f"{value:.0%}"
