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
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from configs.schema.align import AlignConfig
from configs.schema.launch import LaunchConfig
from configs.schema.strict import Strict, keyed_fields
from tasks.artifacts import BrokenArtifact, Draft, Store, artifact_key
from tasks.artifacts.ref import ArtifactRef, SourceEntry
from tasks.child import Job
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.launch import LOG, run_child
from tasks.live import Live
from tasks.run import Run
from tasks.slots import hold_slots
from tasks.sources import CACHE, WORLD, describe, find_files, path_settings
from tasks.stage_log import StageLog

OPTIONAL = {"world", "candidates"}  # stages that a recipe may be without
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
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    accelerate: bool = False
    gpu: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def config(self) -> type[Strict]:
        return inspect.signature(self.function).parameters["config"].annotation

    def makers(self, config: AlignConfig) -> dict[str, str]:
        """Input name → the stage that makes it in this recipe, without what the recipe does not have."""
        there = config.stages
        return {name: maker for name, makers in self.needs.items() for maker in makers if maker in there}

    def plan(self, store: Store, config: Strict, refs: Mapping[str, ArtifactRef], data_root: str | None) -> Plan:
        """Key and raw files. Raises BadData or BadConfig when a named file is missing."""
        settings = list(path_settings(config))
        world = refs.get("world") if any(value.startswith(WORLD) for _, value in settings) else None
        folder = store.open(world) if world else None
        cache = store.scratch / CACHE
        files = {value: find_files(self.name, setting, value, data_root, folder, cache) for setting, value in settings}
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
            state = "Reused"
            if ref is None:
                ref, state = self._make(run, config, refs, plan)
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

    def _make(self, run: Run, config: Strict, refs: Mapping[str, ArtifactRef], plan: Plan) -> tuple[ArtifactRef, str]:
        store = run.store
        with store.lease(self.name, plan.key) as lease:
            if self.name not in run.forced and (ref := self._reusable(run, plan.key)):
                return ref, "Reused"  # another run finished it while this one waited
            out = store.stage_out(lease)
            try:
                job = self._job(run, config, refs, plan, out)
                run.working(self.name, plan.key, Path(job.work))
                log = StageLog(self.name, run.record.folder / f"{self.name}.log", Path(job.work) / LOG)

                def check() -> None:
                    log.follow()
                    lease.check()

                with log.attempt(run.listeners), self._slots(run, config, job, lease.check) as devices:
                    started, begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic()
                    launch, on_event = self.launch(config), partial(run.event, self.name)
                    outcome = run_child(job, launch, self.accelerate, on_event, check, devices)
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
            except BaseException:
                store.unstage(lease)
                raise
            store.clear_work(self.name, plan.key)
            return ref, "Completed"

    def _job(self, run: Run, config: Strict, refs: Mapping[str, ArtifactRef], plan: Plan, out: Path) -> Job:
        """What the child process is told; its inputs are verified here."""
        store, work = run.store, run.store.work(self.name, plan.key)
        return Job(
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

    def _slots(
        self, run: Run, config: Strict, job: Job, check: Callable[[], None]
    ) -> AbstractContextManager[Mapping[str, str]]:
        """The devices of a stage that computes with a model; others need none and wait for nobody."""
        if not (self.accelerate or self.gpu):
            return nullcontext({})

        def say(text: str) -> None:
            Live(Path(job.work)).say(text)  # for `plumbline status`
            run.event(self.name, {"event": "say", "text": text})

        record = run.record
        return hold_slots(self.name, self.launch(config), job.processes, record.run, record.flow_run, say, check)

    @staticmethod
    def launch(config: Strict) -> LaunchConfig:
        return getattr(config, "launch", LaunchConfig())

    def check_inputs(self, refs: Mapping[str, ArtifactRef | None]) -> dict[str, ArtifactRef]:
        """Refuse unknown or missing inputs; what some recipes do not have may be absent."""
        given = {name: ref for name, ref in refs.items() if ref is not None}
        unknown, missing = set(given) - set(self.needs), set(self.needs) - set(given) - OPTIONAL
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
    *,
    version: int,
    makes: str,
    needs: Mapping[str, str | tuple[str, ...]] | None = None,
    accelerate: bool = False,
    gpu: bool = False,
) -> Callable[[StageFunction], Stage]:
    """Turn a stage function into a Stage.

    version: raise it when the code makes different bytes from the same inputs.
    makes: kind of the artifact.  needs: input name → stage that makes it, or the stages of which a recipe has one.
    accelerate: start under ``accelerate launch`` instead of plain Python, on one GPU a process where there are any.
    gpu: computes with a model in one plain process, and takes a GPU where there is one.
    """

    def decorate(function: StageFunction) -> Stage:
        listed = {name: (made,) if isinstance(made, str) else made for name, made in (needs or {}).items()}
        return Stage(function, version, makes, listed, accelerate, gpu)

    return decorate
