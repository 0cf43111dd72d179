"""One run of a recipe: its store, what is forced, and a record that outlives the process."""

import json
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from configs.credentials import credentials_in
from configs.schema import AlignConfig
from tasks.artifacts import Store
from tasks.artifacts.ref import ArtifactRef
from tasks.failures import BadConfig
from tasks.redaction import redact
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
    if problems := list(credentials_in(os.environ.get("PLUMBLINE_STORE", ""), "PLUMBLINE_STORE")):
        raise BadConfig(problems[0])
    root = (config.store if config else None) or os.environ.get("PLUMBLINE_STORE") or str(home())
    return Store(root, cache=home() / "cache")


def store_of(record: "RunRecord") -> Store:
    """The store that a run put its artifacts into, wherever PLUMBLINE_STORE points today."""
    root = next((row["uri"].rpartition("/artifacts/")[0] for row in record.stages if row["uri"]), None)
    return Store(root or record.config.get("store") or open_store().root, cache=home() / "cache")


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
    waiting: dict[str, Any] = field(default_factory=dict)  # what for, and how to go on; empty when it is not

    @property
    def path(self) -> Path:
        return home() / "runs" / f"{self.run}.json"

    @property
    def folder(self) -> Path:
        """What belongs to the run besides its record."""
        return home() / "runs" / self.run

    @property
    def kept(self) -> bool:
        """Whether ``plumbline gc`` leaves its artifacts alone. A file: the run may be writing its record meanwhile."""
        return (self.folder / "kept").exists()

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


def end_record(record: RunRecord, state: str) -> None:
    """Write the end of a run that cannot write it itself any more."""
    record.state, record.waiting = state, {}
    for row in record.stages:
        row["state"] = state if row["state"] in ("Running", "Waiting", "Interrupted") else row["state"]
    record.save()


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
        """Open a new run, or go on with the record of the same Prefect flow run (a retry from its UI), or of a run
        of a terminal that waits for people with the same settings.
        """
        plain = config.model_dump(mode="json")
        again = [
            record
            for record in records()
            if (flow_run and record.flow_run == flow_run)
            or (record.state == "Waiting" and record.waiting["by"] == "terminal" and record.config == plain)
        ]
        if again:
            record = again[-1]
            # What this flow run has already done is not forced a second time
            forced = [stage for stage in forced if record.row(stage)["state"] not in DONE]
        else:
            now = time.gmtime()
            name = f"{config.name}-{time.strftime('%Y%m%d-%H%M%S', now)}-{secrets.token_hex(2)}"
            started = time.strftime("%Y-%m-%dT%H:%M:%SZ", now) + f".{time.time_ns()}"
            rows = [_empty_row(stage) for stage in stages]
            record = RunRecord(name, config.name, plain, flow_run, started, stages=rows)
        record.state, record.pid, record.ticks = "Running", os.getpid(), start_ticks(os.getpid())
        record.flow_run = flow_run
        record.save()
        return cls(config, open_store(config), record, frozenset(forced))

    def started(self, stage: str) -> None:
        row = self.record.row(stage)
        lost = row.get("lost_steps", 0)  # over all attempts
        row.update(_empty_row(stage), state="Running", lost_steps=lost)
        self.record.save()
        for listener in self.listeners:
            listener.started(stage)

    def working(self, stage: str, key: str, work: Path) -> None:
        """Note where a stage that runs keeps its checkpoints, progress and process number."""
        self.record.row(stage).update(key=key, work=str(work))
        self.record.save()

    def event(self, stage: str, event: dict[str, Any]) -> None:
        if "lost_steps" in event:
            row = self.record.row(stage)
            row.update(resumed_at=event["resumed_at"], lost_steps=row["lost_steps"] + event["lost_steps"])
            self.record.save()
        if "text" in event:
            event = {**event, "text": redact(event["text"])}
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
        row.update(state=state, seconds=round(seconds, 3), metrics=metrics or {}, error=redact(error or "") or None)
        if ref is not None:
            row.update(artifact=ref.digest, kind=ref.kind, key=ref.key, uri=ref.uri)
        self.record.save()
        for listener in self.listeners:
            listener.finished(stage, row)

    def wait(self, stage: str, notice: dict[str, Any]) -> None:
        """Note that a stage waits for people; the process will end."""
        self.record.row(stage).update(state="Waiting")
        self.record.state, self.record.waiting = "Waiting", notice
        self.record.save()

    def go_on(self) -> None:
        """What was waited for is there."""
        self.record.state, self.record.waiting = "Running", {}
        self.record.save()

    def end(self, state: str) -> None:
        if state != "Paused" or not self.record.waiting:  # suspended for people: wait() has said so
            self.record.state, self.record.waiting = state, {}
        for row in self.record.stages:
            if state == "Crashed" and row["state"] == "Cancelled":  # the stage only saw that it had to stop
                row["state"] = state
        self.record.save()

    def ref(self, stage: str) -> ArtifactRef:
        """The artifact that a stage of this run made or reused."""
        row = self.record.row(stage)
        return ArtifactRef(kind=row["kind"], key=row["key"], digest=row["artifact"], uri=row["uri"])


def _empty_row(stage: str) -> dict[str, Any]:
    return {
        "name": stage, "state": "Pending", "seconds": None, "artifact": None,
        "kind": None, "key": None, "uri": None, "metrics": {}, "error": None, "work": None,
        "resumed_at": None, "lost_steps": 0,
    }  # fmt: skip
