"""One run of a recipe: its store, what is forced, and a record that outlives the process."""

import json
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from configs.schema import AlignConfig
from tasks.artifacts import Store
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadConfig
from tasks.supervisor import start_ticks

DONE = ("Completed", "Reused")


class Listener(Protocol):
    """Somebody who watches a run: the terminal, Prefect."""

    def started(self, stage: str) -> None: ...

    def event(self, stage: str, event: dict[str, Any]) -> None: ...

    def finished(self, stage: str, row: dict[str, Any]) -> None: ...


def home() -> Path:
    """Local folder of run records and, unless a store is named, of artifacts."""
    return Path(os.environ.get("PLUMBLINE_HOME") or ".plumbline").absolute()


def open_store(config: AlignConfig | None = None) -> Store:
    """The store of a recipe: its own setting, else PLUMBLINE_STORE, else the local home."""
    root = (config.store if config else None) or os.environ.get("PLUMBLINE_STORE") or str(home())
    return Store(root, cache=home() / "cache")


@dataclass
class RunRecord:
    """``runs/RUN.json``: what ``plumbline status`` shows. Replaced as a whole at every change."""

    run: str
    recipe: str
    config: dict[str, Any]
    flow_run: str | None = None
    started: str = ""
    state: str = "Running"
    pid: int = 0
    ticks: str = ""
    stages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return home() / "runs" / f"{self.run}.json"

    def row(self, stage: str) -> dict[str, Any]:
        return next(row for row in self.stages if row["name"] == stage)

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.__dict__, indent=1), encoding="utf-8")
        new.replace(self.path)

    def alive(self) -> bool:
        """Whether the process that drives the run still exists."""
        return bool(self.ticks) and start_ticks(self.pid) == self.ticks


def load_record(path: Path) -> RunRecord:
    record = RunRecord(**json.loads(path.read_text(encoding="utf-8")))
    if record.state == "Running" and not record.alive():
        record.state = "Interrupted"
        for row in record.stages:
            row["state"] = "Interrupted" if row["state"] == "Running" else row["state"]
    return record


def records() -> list[RunRecord]:
    """Every run, oldest first."""
    files = (home() / "runs").glob("*.json")
    return sorted((load_record(path) for path in files), key=lambda record: record.started)


def find_run(name: str | None) -> RunRecord:
    """A run by its name or a unique beginning of it; the latest when empty. Raises BadConfig."""
    known = records()
    if not known:
        raise BadConfig(f"no run in {home() / 'runs'}; start one: plumbline run quickstart")
    if name is None:
        return known[-1]
    hits = [record for record in known if record.run.startswith(name)]
    exact = [record for record in hits if record.run == name]
    if len(exact or hits) != 1:
        names = ", ".join(record.run for record in (hits or known)[-5:])
        raise BadConfig(f"run {name!r}: {'several runs begin so' if hits else 'no such run'}; among: {names}")
    return (exact or hits)[0]


def own_run() -> RunRecord | None:
    """The latest run that this process began; other processes may run others meanwhile."""
    mine = (os.getpid(), start_ticks(os.getpid()))
    return next((record for record in reversed(records()) if (record.pid, record.ticks) == mine), None)


@dataclass
class Run:
    """What every stage call of one run shares."""

    config: AlignConfig
    store: Store
    record: RunRecord
    forced: frozenset[str] = frozenset()
    listeners: list[Listener] = field(default_factory=list)

    @classmethod
    def begin(
        cls, config: AlignConfig, stages: Iterable[str], forced: Iterable[str] = (), flow_run: str | None = None
    ) -> "Run":
        """Open a new run, or go on with the record of the same Prefect flow run (a retry from its UI)."""
        again = [record for record in records() if flow_run and record.flow_run == flow_run]
        if again:
            record = again[-1]
            # What this flow run has already done is not forced a second time
            forced = [stage for stage in forced if record.row(stage)["state"] not in DONE]
        else:
            now = time.gmtime()
            name = f"{config.name}-{time.strftime('%Y%m%d-%H%M%S', now)}-{secrets.token_hex(2)}"
            started = time.strftime("%Y-%m-%dT%H:%M:%SZ", now) + f".{time.time_ns()}"
            rows = [_empty_row(stage) for stage in stages]
            record = RunRecord(name, config.name, config.model_dump(mode="json"), flow_run, started, stages=rows)
        record.state, record.pid, record.ticks = "Running", os.getpid(), start_ticks(os.getpid())
        record.save()
        return cls(config, open_store(config), record, frozenset(forced))

    def started(self, stage: str) -> None:
        self.record.row(stage).update(_empty_row(stage), state="Running")
        self.record.save()
        for listener in self.listeners:
            listener.started(stage)

    def event(self, stage: str, event: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener.event(stage, event)

    def finished(
        self,
        stage: str,
        state: str,
        seconds: float,
        ref: ArtifactRef | None = None,
        metrics: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> None:
        row = self.record.row(stage)
        row.update(state=state, seconds=round(seconds, 3), metrics=metrics or {}, error=error)
        if ref is not None:
            row.update(artifact=ref.digest, kind=ref.kind, key=ref.key, uri=ref.uri)
        self.record.save()
        for listener in self.listeners:
            listener.finished(stage, row)

    def end(self, state: str) -> None:
        self.record.state = state
        self.record.save()

    def ref(self, stage: str) -> ArtifactRef:
        """The artifact that a stage of this run made or reused."""
        row = self.record.row(stage)
        return ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"])


def _empty_row(stage: str) -> dict[str, Any]:
    return {
        "name": stage, "state": "Pending", "seconds": None, "artifact": None,
        "kind": None, "key": None, "uri": None, "metrics": {}, "error": None,
    }  # fmt: skip
