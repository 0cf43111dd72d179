"""Read-only commands: plan and report; and the artifacts of a run, verified."""

import json
import webbrowser
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from configs.schema import AlignConfig
from tasks.failures import BadConfig
from tasks.run import RunRecord, find_run, open_store, store_of


def print_plan(
    name: str,
    config: AlignConfig,
    rerun_from: str | None,
    force: list[str],
    as_json: bool,
    settings: bool,
    measure: bool = False,
) -> None:
    """Stages in order: action, key, and the parameters that decide the artifact; what ppo will take."""
    from configs.schema import keyed_fields
    from flows.forecast import ppo_forecast, print_forecast
    from flows.plan import plan
    from tasks.stages import dependents

    store = open_store(config)
    steps = plan(store, config, {*force, *(dependents(rerun_from) if rerun_from else ())})
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
    found = ppo_forecast(store, config, steps, measure)
    if as_json:
        print(json.dumps({"recipe": config.name, "stages": rows, "ppo": found}))
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
    if found:
        print_forecast(console, found)
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


def show_number(value: Any) -> str:
    """Four digits of a float, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_report(name: str | None, open_page: bool) -> None:
    """Path of the report page of a run, verified. Raises BadConfig when the run has none."""
    record = find_run(name)
    row = next((row for row in record.stages if row["name"] == "report" and row["uri"]), None)
    if row is None:
        raise BadConfig(f"run {record.run} has no report yet; plumbline rerun {record.run} makes it")
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
    return store_of(record).open(ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"]))
