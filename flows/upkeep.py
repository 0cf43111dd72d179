"""`plumbline verify`, `plumbline gc` and `plumbline keep`: what becomes of artifacts."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from flows.logs import remove_logs
from tasks.artifacts import BrokenArtifact, Store, collect, verify_store
from tasks.artifacts.ref import ArtifactRef
from tasks.run import RunRecord, find_run, open_store, records, store_of

LIVE = ("Running", "Waiting")


def stores(known: Iterable[RunRecord]) -> Iterator[Store]:
    """Every store that a run put artifacts into, and the one in force now; a local one only if it is there."""
    seen = set()
    for store in (open_store(), *map(store_of, known)):
        root = store.files.uri("").rstrip("/")
        if root not in seen and ("://" in root or Path(root).is_dir()):
            seen.add(root)
            yield store


def verify_artifacts(name: str | None) -> None:
    """Hash again what a run used, or every store; exit status 1 when anything is broken."""
    problems: list[str] = []
    total = 0
    if name is None:
        for store in stores(records()):
            total += sum(1 for _ in store.refs())
            problems += verify_store(store)
    else:
        record = find_run(name)
        refs = list(_refs(record))
        total, store = len(refs), store_of(record)
        for ref in refs:
            try:
                store.verify(ref)
            except BrokenArtifact as error:
                problems.append(str(error))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{total} artifacts, {len(problems)} broken")
    if problems:
        print("next: plumbline rerun RUN   (broken artifacts are set aside and made again)")
        sys.exit(1)
    print("next: plumbline status")


def collect_garbage(dry_run: bool, unreferenced: bool, keep_runs: int) -> None:
    """Remove what nothing needs, in every store.

    Artifacts always stay of the newest ``keep_runs`` runs, of runs that are going on or wait for people, and of those
    that ``plumbline keep`` named.
    """
    known = records()
    needed = [record for record in known if record.kept or record.state in LIVE] + known[-keep_runs:]
    kept = {row["artifact"] for record in needed for row in record.stages if row["artifact"]}
    kept |= {record.waiting["candidates"]["digest"] for record in known if record.waiting}
    for store in stores(known):
        print(f"{store.root}\n{collect(store, keep=kept, dry_run=dry_run, unreferenced=unreferenced)}")
    print(remove_logs([record for record in known if record not in needed], dry_run))
    print("next: plumbline verify")


def keep(name: str | None, undo: bool) -> None:
    """Keep the artifacts of a run whatever ``plumbline gc`` is asked to remove, or no longer."""
    record = find_run(name)
    mark = record.folder / "kept"
    if undo:
        mark.unlink(missing_ok=True)
        print(f"{record.run} is no longer kept")
    else:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        print(f"{record.run} is kept: plumbline gc leaves its {len(list(_refs(record)))} artifacts alone")
    print("next: plumbline gc --dry-run --unreferenced")


def _refs(record: RunRecord) -> Iterator[ArtifactRef]:
    for row in record.stages:
        if row["uri"]:
            yield ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"])
