"""`plumbline rankings trust`: how far the rankings of a run, or of a file, can be trusted."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.show import open_run_artifact
from tasks.failures import BadConfig, BadData
from tasks.report.trust import ANNOTATOR_COLUMNS, annotators, position, summary
from tasks.run import find_run

SHOWN = 3  # cycles printed


def print_trust(what: str | None, form: str, as_json: bool) -> None:
    """The trust report of a run's rankings, or of a file in a format that the rank stage reads.

    Raises BadConfig when there is no such run or file, BadData when the file holds no rankings.
    """
    path = Path(what) if what else None
    report = _of_file(path, form) if path and path.is_file() else _of_run(what)
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
        return
    console = Console(highlight=False)
    title = f"{report['rankings']:,} rankings of {report['prompts']:,} prompts"
    _print(console, title, ["measure", "value", "95 % interval", "by chance"], summary(report))
    _print(console, "", ["annotator", *ANNOTATOR_COLUMNS], annotators(report))
    for one in report["flagged"]:
        console.print(f"look at {one['name']}: {'; '.join(one['reasons'])}", markup=False, soft_wrap=True)
    if told := position(report["position"]):
        console.print(told, markup=False, soft_wrap=True)
    for one in report["cycles"]["examples"][:SHOWN]:
        ring = " > ".join(repr(text[:30]) for text in [*one["candidates"], one["candidates"][0]])
        console.print(
            f"cycle: {one['prompt'][:40]!r}: {ring} ({', '.join(one['votes'])})", markup=False, soft_wrap=True
        )
    if not report["annotators"]:
        console.print("no annotator is named: nothing can be said of single ones")


def _print(console: Console, title: str, head: list[str], rows: list[tuple[str, list[str]]]) -> None:
    if rows:
        table = Table(*head, title=title or None)
        for name, cells in rows:
            table.add_row(name, *cells)
        console.print(table, markup=False)


def _of_run(name: str | None) -> dict[str, Any]:
    if name and ("/" in name or name.endswith((".jsonl", ".json", ".gz"))):
        raise BadConfig(f"{name}: no such file")
    record = find_run(name)
    file = open_run_artifact(record, "rank") / "trust.json"
    if not file.is_file():
        raise BadConfig(
            f"run {record.run} made its rankings before there were trust reports; plumbline rerun makes one"
        )
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _of_file(path: Path, form: str) -> dict[str, Any]:
    from configs.schema.sources import RankingSource  # pyarrow and numpy, only for files
    from tasks.rank.layouts.item import Rejected
    from tasks.rank.layouts.source import read_source
    from tasks.rank.trust.report import trust
    from tasks.rankings import RankedPrompt, merge_rankings

    rows = list(read_source(RankingSource.model_validate({"path": str(path), "format": form}), [path]))
    items = [row for row in rows if isinstance(row, RankedPrompt)]
    bad = [row for row in rows if isinstance(row, Rejected)]
    if not items:
        raise BadData(f"{path}: no rankings; {f'line {bad[0].line}: {bad[0].error}' if bad else 'the file is empty'}")
    return trust(merge_rankings(items)[0], items)
