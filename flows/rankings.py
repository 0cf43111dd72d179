"""`plumbline rankings`: rankings from one layout to another, and out of a run."""

import json
from collections import Counter
from pathlib import Path

from pydantic import ValidationError

from configs.schema.sources import RankingSource
from flows.show import open_run_artifact
from tasks.failures import BadConfig, BadData
from tasks.rank.layouts.item import Rejected, Unpaired
from tasks.rank.layouts.source import read_source
from tasks.rank.layouts.written import Written, check_target, write_file
from tasks.rankings import RankedPrompt, Split, merge_rankings, read_rankings
from tasks.run import find_run

SPLITS: dict[str, list[Split]] = {"all": ["train", "heldout"], "train": ["train"], "heldout": ["heldout"]}


def convert(file: Path, origin: str, target: str, out: Path, fields: list[str], name: str) -> None:
    """Read a file of rankings and write it in another layout. Rankings of the same prompt and answers become one
    item, so they are held in memory. Raises BadConfig, and BadData when the file has no ranking.
    """
    source = _source(file, origin, fields, name)
    check_target(target, out)
    found: list[RankedPrompt] = []
    rejected: list[Rejected] = []
    unpaired = 0
    for row in read_source(source, [file]):
        if isinstance(row, RankedPrompt):
            found.append(row)
        elif isinstance(row, Unpaired):
            unpaired += 1
        else:
            rejected.append(row)
    if not found:
        why = f"; the first of {len(rejected)}: line {rejected[0].line}: {rejected[0].error}" if rejected else ""
        raise BadData(f"{file}: no rankings{why}; correct the file or --from (now {origin})")
    items, duplicates = merge_rankings(found)
    written = write_file(items, target, out)
    print(f"{file.name}: {_counted(items)}")
    if duplicates:
        print(f"left out: {duplicates} rankings that repeat another one")
    if unpaired:
        print(f"left out: {unpaired} answers that were judged alone, without another one to compare them with")
    _say_rejected(rejected, out)
    _say_written(written, target, out)


def export(run: str | None, target: str, out: Path, split: str) -> None:
    """Write the rankings of a run, or of the folder of a rankings artifact. Raises BadConfig and BadData."""
    check_target(target, out)
    if split not in SPLITS:
        raise BadConfig(f"--split {split!r}: choose one of {', '.join(SPLITS)}")
    folder = Path(run) if run is not None and (Path(run) / "train.parquet").is_file() else None
    if folder is None:
        folder = open_run_artifact(find_run(run), "rank")
    items = [item for side in SPLITS[split] for item in read_rankings(folder, side)]
    written = write_file(items, target, out)
    print(f"{run or 'latest run'}: {_counted(items)}")
    _say_written(written, target, out)


def _source(file: Path, origin: str, fields: list[str], name: str) -> RankingSource:
    wrong = [field for field in fields if "=" not in field]
    if wrong:
        raise BadConfig(f"--field {wrong[0]!r}: write it as NAME=COLUMN, for example prompt=question")
    renamed = dict(field.split("=", 1) for field in fields)
    try:
        return RankingSource.model_validate({"path": str(file), "format": origin, "fields": renamed, "name": name})
    except ValidationError as error:
        raise BadConfig(f"--from {origin!r}: {error.errors()[0]['msg']}") from error


def _counted(items: list[RankedPrompt]) -> str:
    answers, rankings = sum(len(item.candidates) for item in items), sum(len(item.rankings) for item in items)
    return f"{len(items)} prompts, {answers} answers, {rankings} rankings"


def _say_rejected(rejected: list[Rejected], out: Path) -> None:
    if not rejected:
        return
    file = out.with_name(f"{out.name}.rejected.jsonl")
    lines = [json.dumps(row.__dict__, ensure_ascii=False) + "\n" for row in rejected]
    file.write_text("".join(lines), encoding="utf-8")
    reasons = Counter(row.reason for row in rejected).most_common()
    print(f"rejected: {len(rejected)} ({', '.join(f'{count} {reason}' for reason, count in reasons)}); see {file}")


def _say_written(written: Written, target: str, out: Path) -> None:
    print(f"{out}: {written.rows} rows, layout {target}")
    if written.lost:
        print(f"{target} cannot hold: {', '.join(f'{count} {name}' for name, count in written.lost.items())}")
    print(f"\nnext: plumbline plan RECIPE   (with {{path: {out}, format: {target}}} among its rank.sources)")
