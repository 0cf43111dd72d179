"""Hooks the pictures into a run: a listener that turns what happens into artifacts of the Prefect UI."""

import copy
import os
import time
from collections import Counter, defaultdict
from typing import Any
from uuid import UUID

from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.utilities.context import get_task_and_flow_run_ids

from configs.schema.launch import LaunchConfig
from flows.eyes import results
from flows.eyes.gallery import Picture, pictures
from flows.eyes.lineage import lineage
from flows.eyes.markdown import image
from flows.eyes.post import Post, Poster
from flows.eyes.progress import Progress
from flows.eyes.summary import Cost, View, summary
from tasks.artifacts.ref import ArtifactRef, Manifest
from tasks.run import Run, records
from tasks.stages import BY_NAME

HOUR = 3600.0
# Last words of the keys of a finished stage
WORDS = ("result", "funnel", "lengths", "rejects", "trust", "curves", "samples", "page")


def open_eyes(run: Run) -> "Eyes | None":
    """Show a run from now on; None outside of a Prefect flow. Whoever opens it closes it when the run has ended."""
    if flow_run.id is None:
        return None
    eyes = Eyes(run, UUID(str(flow_run.id)))
    run.listeners.append(eyes)
    return eyes


class Eyes:
    """Summary and lineage of a run; of each stage progress, result, and pictures.

    The listener's methods only note and queue: whatever reads, draws or sends runs in the poster's thread.
    """

    def __init__(self, run: Run, flow: UUID) -> None:
        self.run = run
        self.poster = Poster(flow, get_run_logger(), again=flow_run.run_count > 1)
        self.begun = time.monotonic()
        self.progress: dict[str, Progress] = {}
        self.attempts: Counter[str] = Counter()
        self.tasks: dict[str, UUID | None] = {}
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.saved: dict[str, float] = {}
        self._makers: dict[str, str] | None = None
        self._summarise()

    def started(self, stage: str) -> None:
        self.attempts[stage] += 1
        self.progress[stage] = Progress()
        self.tasks[stage] = get_task_and_flow_run_ids()[0]
        self._summarise()

    def event(self, stage: str, event: dict[str, Any]) -> None:
        if event["event"] == "progress" and self.progress[stage].note(event):
            self._advance(stage)
            self._summarise()

    def finished(self, stage: str, row: dict[str, Any]) -> None:
        done, row = self.progress.pop(stage), copy.deepcopy(row)
        if row["state"] not in ("Completed", "Reused"):
            self.spent[stage] += row["seconds"] * self._processes(stage) / HOUR
            self._put(stage, "result", lambda: results.failure(self.run.record.run, row), row["state"])
        else:
            about = f"{row['state']}: {row['kind']} {row['artifact'][:10]}"
            self._put(stage, "result", lambda: self._result(row), about)
        if row["state"] == "Completed":
            if done.visible:
                self._put(stage, "progress", lambda: 100.0, "done", "progress")
            for picture in pictures(stage):
                self._put(stage, picture.word, self._drawing(picture, row), picture.about)
        self._summarise()
        if row["state"] != "Reused":
            self._show_lineage()

    def close(self, patience: float = 10.0) -> None:
        """Show how the run ended; wait up to ``patience`` seconds for what is still to be sent."""
        self._show_lineage()
        self._summarise()
        self.poster.close(patience)

    # ---- in the run's own thread: queue

    def _put(self, stage: str, word: str, draw: Any, about: str, kind: str = "markdown") -> None:
        self.poster.put(Post(f"{stage}-{word}", draw, about, kind, self.tasks.get(stage)))

    def _advance(self, stage: str) -> None:
        progress = self.progress[stage]
        percent, text = progress.percent, str(progress)
        self._put(stage, "progress", lambda: percent, text, "progress")

    def _show_lineage(self) -> None:
        rows = copy.deepcopy(self.run.record.stages)

        def draw() -> str | None:
            svg = lineage(rows)
            return svg and image("Stages, their states and what they made", svg)

        self.poster.put(Post(f"{self.run.config.name}-lineage", draw, "What was made from what."))

    def _summarise(self) -> None:
        record = self.run.record
        rows, state, seconds = copy.deepcopy(record.stages), record.state, time.monotonic() - self.begun
        live = {stage: (progress.short, progress.seconds) for stage, progress in self.progress.items()}
        attempts = dict(self.attempts)

        def draw() -> str:
            cost = Cost(dict(self.spent), dict(self.saved), self.run.config.price_per_hour)
            links = {row["name"]: self._links(row["name"]) for row in rows}
            started = record.started[:16].replace("T", " ") + " UTC"
            seed = self.run.config.seed
            return summary(
                View(
                    record.run,
                    record.recipe,
                    state,
                    started,
                    seed,
                    rows,
                    seconds,
                    live,
                    attempts,
                    links,
                    self._pages(),
                    cost,
                )
            )

        self.poster.put(Post(f"{record.recipe}-summary", draw, f"{state} · {record.run}"))

    # ---- in the poster's thread: read and draw

    def _drawing(self, picture: Picture, row: dict[str, Any]) -> Any:
        return lambda: picture.draw(self.run.store, self._manifest(row))

    def _result(self, row: dict[str, Any]) -> str:
        stage, manifest = row["name"], self._manifest(row)
        hours = manifest.seconds * self._processes(stage) / HOUR
        if row["state"] == "Reused":
            self.saved[stage] = hours
        else:
            self.spent[stage] += hours
        return results.result(self.run.record.run, row, manifest, self._maker(row))

    def _manifest(self, row: dict[str, Any]) -> Manifest:
        ref = ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"])
        return self.run.store.manifest(ref)

    def _maker(self, row: dict[str, Any]) -> str:
        """Which run made it, as far as this home's records know."""
        if row["state"] == "Completed":
            return ""
        if self._makers is None:
            self._makers = {
                made["uri"]: f", by [{record.run}]({_address(f'runs/flow-run/{record.flow_run}')})"
                for record in records()
                for made in record.stages
                if made["state"] == "Completed" and made["uri"]
            }
        return self._makers.get(row["uri"], "")

    def _links(self, stage: str) -> dict[str, str]:
        task = self.tasks.get(stage)
        links = {"task": _address(f"runs/task-run/{task}")} if task else {}
        return links | self._artifacts(stage, ("progress",) if stage in self.progress else WORDS)

    def _pages(self) -> dict[str, str]:
        return self._artifacts(self.run.config.name, ("lineage",))

    def _artifacts(self, owner: str, words: tuple[str, ...]) -> dict[str, str]:
        ids = {word: self.poster.ids.get(f"{owner}-{word}") for word in words}
        return {word: _address(f"artifacts/artifact/{known}") for word, known in ids.items() if known}

    def _processes(self, stage: str) -> int:
        launch = getattr(getattr(self.run.config, stage), "launch", LaunchConfig())
        return launch.processes if BY_NAME[stage].accelerate else 1


def _address(path: str) -> str:
    """A page of the UI that shows this; PREFECT_UI_URL when the UI does not lie at the root of its server."""
    return f"{os.environ.get('PREFECT_UI_URL', '').rstrip('/')}/{path}"
