"""`plumbline diff RUN RUN`: where two runs differ, in settings, data and metrics."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.show import show_number
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import StageFailure
from tasks.run import RunRecord, find_run, store_of

ABSENT = "–"


def print_diff(left: str, right: str, as_json: bool) -> None:
    """Settings that differ, stages whose bytes differ, metrics side by side. Raises BadConfig for an unknown run."""
    one, two = find_run(left), find_run(right)
    found: dict[str, Any] = {
        "runs": [one.run, two.run],
        "settings": compare_settings(one.config, two.config),
        "stages": compare_stages(one, two),
        "metrics": compare_metrics(one, two),
    }
    if as_json:
        print(json.dumps(found))
        return
    console = Console(highlight=False)
    console.print(f"[bold]A[/bold] {one.run}, {one.state}\n[bold]B[/bold] {two.run}, {two.state}")
    _settings(console, found["settings"])
    _stages(console, found["stages"])
    _metrics(console, found["metrics"])
    console.print(f"\nnext: plumbline rerun {one.run} --set SETTING=VALUE   (A with a setting of B)", soft_wrap=True)


def leaves(value: Any, where: str = "") -> dict[str, Any]:
    """Every setting by its path as ``--set`` writes it: {"ppo.kl.beta": 0.05, "corpus.sources.0.path": …}."""
    if isinstance(value, dict) and value:
        items: Any = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        return {where: value}
    return {
        path: leaf for name, item in items for path, leaf in leaves(item, f"{where}.{name}" if where else name).items()
    }


def compare_settings(one: dict[str, Any], two: dict[str, Any]) -> list[dict[str, Any]]:
    """Settings with different values; one that only one run has is absent in the other."""
    left, right = leaves(one), leaves(two)
    return [
        {"setting": path} | {side: values[path] for side, values in (("a", left), ("b", right)) if path in values}
        for path in dict.fromkeys([*left, *right])
        if (path in left, left.get(path)) != (path in right, right.get(path))
    ]


def compare_stages(one: RunRecord, two: RunRecord) -> list[dict[str, Any]]:
    """Every stage: artifact digests, whether the bytes are the same, and what made the difference."""
    rows = []
    for name in dict.fromkeys(row["name"] for record in (one, two) for row in record.stages):
        left, right = _row(one, name), _row(two, name)
        digests = [row.get("artifact") for row in (left, right)]
        same = digests[0] == digests[1] if all(digests) else None
        reasons = _reasons(one, two, name) if same is False else []
        rows.append({"stage": name, "a": digests[0], "b": digests[1], "same": same, "because": reasons})
    return rows


def compare_metrics(one: RunRecord, two: RunRecord) -> list[dict[str, Any]]:
    """Every metric of every stage, with B minus A where both are numbers."""
    rows = []
    for name in dict.fromkeys(row["name"] for record in (one, two) for row in record.stages):
        left, right = _row(one, name).get("metrics", {}), _row(two, name).get("metrics", {})
        for metric in dict.fromkeys([*left, *right]):
            a, b = left.get(metric), right.get(metric)
            numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (a, b))
            rows.append({"stage": name, "metric": metric, "a": a, "b": b, "difference": b - a if numbers else None})
    return rows


def _row(record: RunRecord, stage: str) -> dict[str, Any]:
    return next((row for row in record.stages if row["name"] == stage), {})


def _inputs(record: RunRecord, row: dict[str, Any]) -> dict[str, str] | None:
    """What a stage read, name → digest; None when its manifest is gone."""
    if not row.get("uri"):
        return None
    ref = ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"])
    try:
        manifest = store_of(record).manifest(ref)
    except StageFailure:
        return None
    sources = {f"{source.named} {source.name}": source.sha256 for source in manifest.sources}
    return sources | {name: parent.digest for name, parent in manifest.parents.items()}


def _reasons(one: RunRecord, two: RunRecord, stage: str) -> list[str]:
    """Why the bytes of a stage differ: inputs by name, its settings; or nothing that the key knows of."""
    left, right = _row(one, stage), _row(two, stage)
    if left["key"] == right["key"]:
        return ["nothing: the same settings and inputs gave other bytes"]
    mine, yours = _inputs(one, left), _inputs(two, right)
    if mine is None or yours is None:
        return []
    reasons = [name for name in dict.fromkeys([*mine, *yours]) if mine.get(name) != yours.get(name)]
    settings = compare_settings({stage: one.config.get(stage)}, {stage: two.config.get(stage)})
    turned = [row for row in settings if ".launch." not in row["setting"]]
    return reasons + (["its settings"] if turned else [])


def _settings(console: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        console.print("\nsettings: all the same")
        return
    table = Table("setting", "A", "B", title="settings that differ", title_justify="left")
    for row in rows:
        table.add_row(row["setting"], *(show_number(row.get(side, ABSENT)) for side in "ab"))
    console.print()
    console.print(table, markup=False)


def _stages(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table("stage", "bytes", "A", "B", "because of", title="data", title_justify="left")
    for row in rows:
        word = {True: "same", False: "differ", None: "not made in both"}[row["same"]]
        table.add_row(row["stage"], word, *((row[side] or ABSENT)[:12] for side in "ab"), ", ".join(row["because"]))
    console.print()
    console.print(table, markup=False)


def _metrics(console: Console, rows: list[dict[str, Any]]) -> None:
    made = {side: {row["stage"] for row in rows if row[side] is not None} for side in "ab"}
    shared = [row for row in rows if row["stage"] in made["a"] & made["b"]]
    differing = [row for row in shared if row["a"] != row["b"]]
    console.print(
        f"\nmetrics of stages that both runs made: {len(shared) - len(differing)} of {len(shared)} are the same"
    )
    if not differing:
        return
    table = Table("stage", "metric", "A", "B", "B − A", title="metrics that differ", title_justify="left")
    for row in differing:
        a, b, change = row["a"], row["b"], row["difference"]
        sign = "" if change is None else f"{change:+.4g}" + (f"  ({change / abs(a):+.1%})" if a else "")
        table.add_row(row["stage"], row["metric"], *(ABSENT if x is None else show_number(x) for x in (a, b)), sign)
    console.print(table, markup=False)
