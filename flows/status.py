"""`plumbline status`: the stages of a run, how far the one that runs is, and the list of recent runs."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.show import show_number
from tasks.live import EVENTS
from tasks.run import RunRecord, find_run, records

PUBLIC = ("name", "state", "seconds", "artifact", "metrics", "kind", "key", "uri", "error")
TAIL = 65536  # bytes of the events file that are read from its end


def print_status(name: str | None, as_json: bool) -> None:
    """The stages of a run; with ``--json`` one object with run and stages."""
    record = find_run(name)
    if as_json:
        stages = [{field: row.get(field) for field in PUBLIC} | {"progress": progress(row)} for row in record.stages]
        about = {"run": record.run, "recipe": record.recipe, "state": record.state, "kept": record.kept}
        if record.state == "Waiting":
            about["ranking_page"] = ranking_page(record)
        print(json.dumps({**about, "stages": stages}))
        return
    console = Console(highlight=False)
    table = Table("stage", "state", "seconds", "artifact", "metrics", title=f"{record.run}: {record.state}")
    for row in record.stages:
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        metrics = ", ".join(f"{key} {show_number(value)}" for key, value in row["metrics"].items())
        table.add_row(row["name"], row["state"], seconds, (row["artifact"] or "")[:12], metrics or _live(row))
    console.print(table, markup=False)
    for row in record.stages:
        if row["error"]:
            console.print(f"{row['name']}: {row['error']}", markup=False, soft_wrap=True)
    if record.state == "Waiting" and (links := ranking_page(record)):
        console.print("\nranking page, one link an annotator:")
        for annotator, link in links.items():
            console.print(f"  {annotator}  {link}", markup=False, soft_wrap=True)
    console.print(f"\nnext: {next_step(record)}", markup=False, soft_wrap=True)


def ranking_page(record: RunRecord) -> dict[str, str] | None:
    """The links of the annotators of a run that waits; None while its page is not served on this host."""
    from configs.schema.rank import PeopleConfig
    from tasks.rank.page.links import asked_links, is_served

    folder = Path(record.waiting["file"]).parent
    asked = PeopleConfig.model_validate(record.config["rank"]["people"])
    return asked_links(folder, asked) if is_served(folder, asked.page.port) else None


def next_step(record: RunRecord) -> str:
    """What a person does with a run in this state."""
    if record.state == "Completed":
        return f"plumbline report {record.run}"
    if record.state == "Running":
        return f"plumbline status {record.run}   (it is still running; plumbline cancel {record.run} stops it)"
    if record.state == "Waiting":
        file = record.waiting["file"]
        return (
            f"plumbline rank {record.run}, or plumbline resume {record.run}   (when `ranks` are filled in, in {file})"
        )
    return f"plumbline rerun {record.run}   (goes on where it stopped)"


def progress(row: dict[str, Any]) -> dict[str, Any] | None:
    """How far a running stage is, from its events file: done, total, unit, values, seconds_left; and ``said``, what it
    said since.

    None when it does not run, has reported nothing yet, or runs on another host.
    """
    if row["state"] != "Running" or not row.get("work"):
        return None
    events = _events(Path(row["work"]) / EVENTS)
    steps = [event for event in events if event["event"] == "progress"]
    said = events[-1]["text"] if events and events[-1]["event"] == "say" else None
    if not steps:
        return {"said": said} if said else None
    last = steps[-1]
    first = next(event for event in steps if event["unit"] == last["unit"])
    known = {name: last[name] for name in ("done", "total", "unit", "values")}
    moved = last["done"] - first["done"]
    left = (last["time"] - first["time"]) / moved * (last["total"] - last["done"]) if moved > 0 else None
    return known | {"seconds_left": left, "said": said}


def _events(path: Path) -> list[dict[str, Any]]:
    """The newest whole events of a stage, oldest first."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - TAIL, 0))
            block = file.read()
    except OSError:
        return []
    lines = block.rpartition(b"\n")[0].split(b"\n")
    if size > TAIL:
        lines = lines[1:]  # cut in the middle
    return [json.loads(line) for line in lines if line]


def _live(row: dict[str, Any]) -> str:
    from flows.eyes.progress import duration

    found = progress(row)
    if found is None:
        return ""
    if "done" not in found:
        return str(found["said"])
    said = [found["said"]] if found["said"] else []
    values = [f"{key} {show_number(value)}" for key, value in found["values"].items()]
    left = [] if found["seconds_left"] is None else [f"about {duration(found['seconds_left'])} left"]
    return ", ".join([f"{found['done']}/{found['total']} {found['unit']}", *values, *left, *said])


def print_runs(as_json: bool, limit: int = 20) -> None:
    """The newest runs, the latest last."""
    shown = records()[-limit:]
    rows: list[dict[str, Any]] = [
        {
            "run": record.run,
            "state": record.state,
            "started": record.started[:19],
            "done": sum(row["state"] in ("Completed", "Reused") for row in record.stages),
            "stages": len(record.stages),
            "seconds": round(sum(row["seconds"] or 0.0 for row in record.stages), 1),
            "kept": record.kept,
        }
        for record in shown
    ]
    if as_json:
        print(json.dumps({"runs": rows}))
        return
    console = Console(highlight=False)
    table = Table("run", "state", "started (UTC)", "stages", "seconds", "kept")
    for row in rows:
        done = f"{row['done']}/{row['stages']}"
        cells = (row["run"], row["state"], row["started"].replace("T", " "), done, f"{row['seconds']:.1f}")
        table.add_row(*map(str, cells), "yes" if row["kept"] else "")
    console.print(table, markup=False)
    console.print(f"\nnext: {next_step(shown[-1]) if shown else 'plumbline run quickstart'}", markup=False)
