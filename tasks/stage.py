"""The one decorator that makes a stage: key → lease → run → commit; retried, resumed, reused.

    @stage(version=1, makes="model", needs={"corpus": "corpus"}, accelerate=True)
    def pretrain(config: PretrainConfig, inputs, out, live): ...

When does a stage count as new? When its key changes: its name or version, a keyed field of its config, the digest
of an input, or the content of a raw file it reads. Moving data, changing the number of threads or rerunning an
earlier stage that gives the same bytes changes nothing, and the artifact is reused.
"""

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, keyed_fields
from tasks.artifacts import BrokenArtifact, Draft, Store, artifact_key
from tasks.artifacts.ref import ArtifactRef, SourceEntry
from tasks.child import Job
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.launch import run_child
from tasks.live import Live
from tasks.run import Run
from tasks.sources import WORLD, describe, find_files, path_settings

StageFunction = Callable[[Any, Inputs, Path, Live], dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What is known of a stage before it runs."""

    key: str
    sources: list[SourceEntry]
    files: dict[str, list[Path]]


@dataclass(frozen=True)
class Stage:
    """A named, versioned step from typed config and artifacts to one artifact."""

    function: StageFunction
    version: int
    makes: str
    needs: Mapping[str, str] = field(default_factory=dict)
    accelerate: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def config(self) -> type[Strict]:
        return inspect.signature(self.function).parameters["config"].annotation

    def plan(self, store: Store, config: Strict, refs: Mapping[str, ArtifactRef], data_root: str | None) -> Plan:
        """Key and raw files. Raises BadData or BadConfig when a named file is missing."""
        settings = list(path_settings(config))
        world = refs.get("world") if any(value.startswith(WORLD) for _, value in settings) else None
        folder = store.open(world) if world else None
        files = {value: find_files(self.name, setting, value, data_root, folder) for setting, value in settings}
        sources = describe(store, settings, files, world)
        digests = {name: ref.digest for name, ref in refs.items() if name != "world"}
        key = artifact_key(self.name, self.version, keyed_fields(config), digests, sources)
        return Plan(key, sources, files)

    def execute(self, run: Run, config: Strict, refs: Mapping[str, ArtifactRef]) -> tuple[ArtifactRef, str]:
        """Reuse or make the artifact; returns its reference and the state, "Reused" or "Completed"."""
        begin = time.monotonic()
        run.started(self.name)
        try:
            plan = self.plan(run.store, config, refs, run.config.data_root)
            ref = None if self.name in run.forced else self._reusable(run, plan.key)
            state = "Reused" if ref else "Completed"
            if ref is None:
                ref = self._make(run, config, refs, plan)
            metrics = run.store.manifest(ref).metrics
        except BaseException as error:
            state = "Failed" if isinstance(error, Exception) else "Cancelled"
            run.finished(self.name, state, time.monotonic() - begin, error=f"{type(error).__name__}: {error}")
            raise
        run.finished(self.name, state, time.monotonic() - begin, ref, metrics)
        return ref, state

    def _reusable(self, run: Run, key: str) -> ArtifactRef | None:
        """The verified artifact of this key. A broken one is set aside, said aloud, and made again."""
        ref = run.store.find(self.name, key)
        if ref is None:
            return None
        try:
            run.store.verify(ref)
        except BrokenArtifact as error:
            run.store.set_aside(ref, str(error))
            run.event(self.name, {"event": "say", "text": f"broken artifact set aside, making it again: {error}"})
            return None
        return ref

    def _make(self, run: Run, config: Strict, refs: Mapping[str, ArtifactRef], plan: Plan) -> ArtifactRef:
        store = run.store
        with store.lease(self.name, plan.key) as lease:
            if self.name not in run.forced and (ref := self._reusable(run, plan.key)):
                return ref  # another run finished it while this one waited
            started, begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic()
            out, work = store.stage_out(lease), store.work(self.name, plan.key)
            job = Job(
                module=self.function.__module__,
                stage=self.name,
                config=config.model_dump(mode="json"),
                folders={name: str(store.open(ref)) for name, ref in refs.items()},
                refs=dict(refs),
                sources={value: [str(path) for path in paths] for value, paths in plan.files.items()},
                metrics={name: store.manifest(ref).metrics for name, ref in refs.items()},
                out=str(out),
                work=str(work),
                result=str(work / "result.json"),
                processes=self.launch(config).processes if self.accelerate else 1,
            )
            outcome = run_child(
                job, self.launch(config), self.accelerate, lambda event: run.event(self.name, event), lease.check
            )
            draft = Draft(
                stage=self.name,
                version=self.version,
                kind=self.makes,
                key=plan.key,
                parents=dict(refs),
                sources=plan.sources,
                config=config.model_dump(mode="json"),
                metrics=outcome.metrics or {},
                seed=getattr(config, "seed", None),
                device=outcome.device,
                started=started,
                seconds=round(time.monotonic() - begin, 3),
            )
            ref = store.commit(out, draft, lease)
            store.clear_work(self.name, plan.key)
            return ref

    @staticmethod
    def launch(config: Strict) -> LaunchConfig:
        return getattr(config, "launch", LaunchConfig())

    def check_inputs(self, refs: Mapping[str, ArtifactRef | None]) -> dict[str, ArtifactRef]:
        """Refuse unknown or missing inputs; ``world`` may be absent."""
        given = {name: ref for name, ref in refs.items() if ref is not None}
        unknown, missing = set(given) - set(self.needs), set(self.needs) - set(given) - {"world"}
        if unknown or missing:
            raise BadConfig(f"{self.name}: inputs missing {sorted(missing)}, unknown {sorted(unknown)}")
        return given

    @cached_property
    def task(self) -> Any:
        """The Prefect task; Prefect is imported only here, so planning and tests need no engine."""
        from tasks.prefect_task import as_task

        return as_task(self.name, self.function.__doc__, self.version, self.execute)

    def __call__(self, run: Run, config: Strict, **refs: ArtifactRef | None) -> ArtifactRef:
        """Run as a Prefect task inside a flow."""
        from prefect.utilities.annotations import quote

        given = self.check_inputs(refs)
        # quoted: Prefect shall not walk through the run's store and listeners looking for futures
        task = self.task.with_options(retries=self.launch(config).retries)
        return task(quote(run), quote(config), given)


def stage(
    *, version: int, makes: str, needs: Mapping[str, str] | None = None, accelerate: bool = False
) -> Callable[[StageFunction], Stage]:
    """Turn a stage function into a Stage.

    version: raise it when the code makes different bytes from the same inputs.
    makes: kind of the artifact.  needs: input name → stage that makes it.
    accelerate: start under ``accelerate launch`` instead of plain Python.
    """

    def decorate(function: StageFunction) -> Stage:
        return Stage(function, version, makes, dict(needs or {}), accelerate)

    return decorate
