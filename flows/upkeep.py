"""`plumbline verify` and `plumbline gc`."""

import sys

from configs.schema import AlignConfig
from tasks.artifacts import BrokenArtifact, collect, verify_store
from tasks.artifacts.ref import ArtifactRef
from tasks.run import find_run, open_store, records


def verify_artifacts(name: str | None) -> None:
    """Hash again what a run used, or the whole store; exit status 1 when anything is broken."""
    if name is None:
        store = open_store()
        total, problems = sum(1 for _ in store.refs()), verify_store(store)
    else:
        record = find_run(name)
        store = open_store(AlignConfig.model_validate(record.config))
        rows = [row for row in record.stages if row["uri"]]
        problems = []
        for row in rows:
            try:
                store.verify(ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"]))
            except BrokenArtifact as error:
                problems.append(str(error))
        total = len(rows)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{total} artifacts, {len(problems)} broken")
    if problems:
        print("next: plumbline run RECIPE   (broken artifacts are set aside and made again)")
        sys.exit(1)
    print("next: plumbline status")


def collect_garbage(dry_run: bool, unreferenced: bool, keep_runs: int) -> None:
    """Remove what nothing needs; artifacts of the newest ``keep_runs`` runs always stay."""
    kept = {row["artifact"] for record in records()[-keep_runs:] for row in record.stages if row["artifact"]}
    print(collect(open_store(), keep=kept, dry_run=dry_run, unreferenced=unreferenced))
    print("next: plumbline verify")
