"""Read what the stages left in their artifacts. What a partial run has not made is simply not there."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tasks.failures import BadData
from tasks.report.numbers import number

Row = dict[str, Any]


def read_object(path: Path) -> Row | None:
    """The JSON object in ``path``, None without such a file. Raises BadData when it is no object."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadData(f"{_place(path)}: not valid JSON: {error}; rerun the stage that made it") from None
    if not isinstance(value, dict):
        raise BadData(f"{_place(path)}: a JSON object was expected, found {type(value).__name__}")
    return value


def read_rows(path: Path) -> list[Row]:
    """The JSON objects of ``path``, one a line; empty without such a file. Raises BadData with the line."""
    if not path.is_file():
        return []
    rows: list[Row] = []
    for line, text in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError as error:
            raise BadData(f"{_place(path)}:{line}: not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise BadData(f"{_place(path)}:{line}: a JSON object was expected, found {type(row).__name__}")
        rows.append(row)
    return rows


def reject_reasons(corpus: Path) -> dict[str, int]:
    """Dropped documents by reason, most frequent first.

    From "reasons" of ``report.json`` where it is there, otherwise counted in the files of ``rejects/``.
    """
    report = read_object(corpus / "report.json") or {}
    if counts := _counts(report.get("reasons")):
        return counts
    shards = sorted((corpus / "rejects").glob("*.parquet"))
    if not shards:
        return {}
    import pyarrow.parquet

    rejected: Counter[str] = Counter()
    for shard in shards:
        file = pyarrow.parquet.ParquetFile(shard)
        for group in range(file.num_row_groups):  # one at a time: rejects can be larger than memory
            values = file.read_row_group(group, columns=["reason"])["reason"].value_counts()
            rejected.update({str(one["values"]): int(one["counts"]) for one in values.to_pylist()})
    return _counts(dict(rejected))


def _counts(value: Any) -> dict[str, int]:
    """Positive counts by name, largest first; {} when ``value`` is anything else."""
    if not isinstance(value, dict) or not all(type(count) is int for count in value.values()):
        return {}
    kept = [(str(name), count) for name, count in value.items() if count > 0]
    return dict(sorted(kept, key=lambda item: (-item[1], item[0])))


def probe_accuracies(reward: Path | None, metrics: dict[str, Any]) -> dict[str, float]:
    """Accuracy by attribute from ``probes.json`` (shares, or objects with "accuracy"), else the metrics."""
    found = (read_object(reward / "probes.json") if reward else None) or {}
    return _shares(found) or _shares(
        {name.removeprefix("probe_"): value for name, value in metrics.items() if name.startswith("probe_")}
    )


def _shares(values: dict[str, Any]) -> dict[str, float]:
    """The values in [0, 1] by name; an object counts by its "accuracy"."""
    plain = {name: value.get("accuracy") if isinstance(value, dict) else value for name, value in values.items()}
    found = {name: number(value) for name, value in plain.items()}
    return {name: value for name, value in found.items() if value is not None and 0 <= value <= 1}


def _place(path: Path) -> str:
    """The file within its artifact; the machine's folders say nothing to a reader elsewhere."""
    return "/".join(path.parts[-2:])
