"""Read-only commands: plan, status, report."""

import json
import webbrowser
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from configs.schema import AlignConfig
from tasks.failures import BadConfig
from tasks.run import RunRecord, find_run, open_store

PUBLIC = ("name", "state", "seconds", "artifact", "metrics", "kind", "key", "uri", "error")


def print_plan(
    name: str, config: AlignConfig, rerun_from: str | None, force: list[str], as_json: bool, settings: bool
) -> None:
    """Stages in order: action, key, and the parameters that decide the artifact."""
    from configs.schema import keyed_fields
    from flows.plan import plan
    from tasks.stages import dependents

    steps = plan(open_store(config), config, {*force, *(dependents(rerun_from) if rerun_from else ())})
    rows: list[dict[str, Any]] = [
        {
            "name": step.name,
            "action": step.action,
            "key": step.key,
            "artifact": step.ref.digest if step.ref else None,
            "problem": step.problem,
            "settings": keyed_fields(getattr(config, step.name)),
        }
        for step in steps
    ]
    if as_json:
        print(json.dumps({"recipe": config.name, "stages": rows}))
        return
    console = Console(highlight=False)
    table = Table(
        "stage", "action", "key", "settings that decide the result", title=f"{config.name}, seed {config.seed}"
    )
    for row in rows:
        shown = _flat(row["settings"])
        text = "\n".join(shown) if settings else _short(shown)
        table.add_row(row["name"], row["action"], (row["key"] or "")[:12], text)
    console.print(table, markup=False)
    for row in rows:
        if row["problem"]:
            console.print(f"{row['name']}: {row['problem']}", markup=False, soft_wrap=True)
    console.print(f"\nnext: plumbline run {name}")


def _flat(value: Any, where: str = "") -> list[str]:
    if isinstance(value, dict):
        return [line for name, item in value.items() for line in _flat(item, f"{where}.{name}" if where else name)]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [line for index, item in enumerate(value) for line in _flat(item, f"{where}.{index}")]
    return [f"{where}={value}"]


def _short(lines: list[str], limit: int = 6) -> str:
    more = f", and {len(lines) - limit} more (--settings)" if len(lines) > limit else ""
    return ", ".join(lines[:limit]) + more


def print_status(name: str | None, as_json: bool) -> None:
    """The stages of a run; with ``--json`` one object with run and stages."""
    record = find_run(name)
    if as_json:
        stages = [{field: row.get(field) for field in PUBLIC} for row in record.stages]
        print(json.dumps({"run": record.run, "recipe": record.recipe, "state": record.state, "stages": stages}))
        return
    console = Console(highlight=False)
    table = Table("stage", "state", "seconds", "artifact", "metrics", title=f"{record.run}: {record.state}")
    for row in record.stages:
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        metrics = ", ".join(f"{key} {show_number(value)}" for key, value in row["metrics"].items())
        table.add_row(row["name"], row["state"], seconds, (row["artifact"] or "")[:12], metrics)
    console.print(table, markup=False)
    for row in record.stages:
        if row["error"]:
            console.print(f"{row['name']}: {row['error']}", markup=False, soft_wrap=True)
    console.print(f"\nnext: {_next(record)}")


def _next(record: RunRecord) -> str:
    if record.state == "Completed":
        return "plumbline report"
    if record.state == "Running":
        return "plumbline status   (it is still running)"
    return f"plumbline run {record.recipe}   (goes on where it stopped)"


def show_number(value: Any) -> str:
    """Four digits of a float, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_report(name: str | None, open_page: bool) -> None:
    """Path of the report page of a run, verified. Raises BadConfig when the run has none."""
    record = find_run(name)
    row = next((row for row in record.stages if row["name"] == "report" and row["uri"]), None)
    if row is None:
        raise BadConfig(f"run {record.run} has no report yet; plumbline run {record.recipe} makes it")
    page = open_run_artifact(record, "report") / "index.html"
    print(page)
    if open_page:
        webbrowser.open(page.as_uri())
    print("next: plumbline chat")


def open_run_artifact(record: RunRecord, stage: str) -> Path:
    """Verified content folder of the artifact that a stage of a run made or reused."""
    from tasks.artifacts.ref import ArtifactRef

    row = next((row for row in record.stages if row["name"] == stage and row["uri"]), None)
    if row is None:
        raise BadConfig(
            f"run {record.run} has no artifact of stage {stage}; plumbline status {record.run} shows its stages"
        )
    store = open_store(AlignConfig.model_validate(record.config))
    return store.open(ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"]))
