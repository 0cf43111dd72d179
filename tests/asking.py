"""A deployable flow that asks people for rankings, ``tests/asking.py:asks``, and a person who fills the sheet in."""

import json
from pathlib import Path

from asking_stage import ToyConfig, candidates
from prefect import flow

from configs.recipe import load_recipe
from flows.engine import open_run
from flows.waiting import for_rankings
from tasks import stages
from tasks.artifacts.ref import ArtifactRef

PEOPLE = ["rank.ranker=people", "rank.sources=[]", "rank.launch.retries=0"]


@flow(name="asks")
def asks(changes: list[str]) -> ArtifactRef:
    """Candidates, people, rankings; nothing around them."""
    config = load_recipe("nano", [*PEOPLE, *changes])
    with open_run(config) as run:
        sampled = candidates(run, ToyConfig())
        return stages.rank(run, for_rankings(run, config.rank, sampled), candidates=sampled)


def fill_in(sheet: Path, count: int = 4, ranks: tuple[int, ...] = (2, 1, 3)) -> Path:
    """Rank the first rows of a sheet, in place."""
    rows = [json.loads(line) for line in sheet.read_text(encoding="utf-8").splitlines()]
    for row in rows[:count]:
        row["ranks"] = list(ranks)
    sheet.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return sheet
