"""The plan of a corpus: its settings, its inputs, and the jobs that its files are split into."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from configs.schema.corpus import CorpusConfig
from configs.schema.sources import TextSource
from tasks.formats import FilePart, split_file
from tasks.inputs import Inputs

JOB_BYTES = 32_000_000  # of raw files, as far as they can be split
PLAN, JOBS, SHARDS, CONTAMINATION = "plan.json", "jobs.jsonl", "shards", "contamination"
VERSION = 1  # of what a working folder holds

Report = Callable[[int], None]  # bytes of raw input that are done


@dataclass(frozen=True)
class Job:
    """Parts of one source that become one shard. size: bytes of raw input."""

    source: int
    parts: list[FilePart]
    size: int


@dataclass(frozen=True)
class Plan:
    """What every process needs to know. size: bytes of all raw input; digest: of the settings and jobs."""

    folder: Path
    digest: str
    config: CorpusConfig
    sources: dict[str, list[str]]
    size: int
    jobs: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and (self.folder, self.digest) == (other.folder, other.digest)

    def __hash__(self) -> int:
        return hash((self.folder, self.digest))

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read what `make_plan` wrote."""
        found = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return cls(
            folder,
            found["digest"],
            CorpusConfig.model_validate(found["config"]),
            found["sources"],
            found["size"],
            found["jobs"],
        )

    @cached_property
    def inputs(self) -> Inputs:
        """Raw files by the setting that named them."""
        return Inputs(sources={name: [Path(path) for path in paths] for name, paths in self.sources.items()})

    @property
    def contamination(self) -> Path | None:
        """Folder of the index of evaluation sets, when there is one."""
        folder = self.folder / CONTAMINATION
        return folder if folder.is_dir() else None

    def shard(self, number: int) -> Path:
        """Folder of a shard."""
        return self.folder / SHARDS / f"{number:06d}"

    @cached_property
    def job_sources(self) -> list[int]:
        """Position of each job's source in the config."""
        with (self.folder / JOBS).open(encoding="utf-8") as file:
            return [json.loads(line)["source"] for line in file]

    def job(self, number: int) -> Job:
        """One job."""
        with (self.folder / JOBS).open(encoding="utf-8") as file:
            for place, line in enumerate(file):
                if place == number:
                    found = json.loads(line)
                    parts = [FilePart.from_json(part) for part in found["parts"]]
                    return Job(found["source"], parts, found["size"])
        raise AssertionError(f"{self.folder} has no job {number}")


def make_plan(config: CorpusConfig, inputs: Inputs, folder: Path) -> Plan:
    """Write plan and jobs to ``folder``. Shards of an earlier attempt stay when they are of the same plan."""
    lines, size = [], 0
    for index, source in enumerate(config.sources):
        parts = [part for path in inputs.sources[source.path] for part in _parts(path, source)]
        # A source that ends after so many documents is read by one process, from its start
        for group in [parts] if source.max_documents is not None else _groups(parts):
            job_size = sum(part_size for _, part_size in group)
            size += job_size
            lines.append(
                json.dumps({"source": index, "parts": [part.as_json() for part, _ in group], "size": job_size})
            )
    settings = {
        "version": VERSION,
        "config": config.model_dump(mode="json"),
        "sources": {name: [str(path) for path in paths] for name, paths in inputs.sources.items()},
        "size": size,
        "jobs": len(lines),
    }
    digest = hashlib.sha256("\n".join([json.dumps(settings, sort_keys=True), *lines]).encode()).hexdigest()
    if _digest(folder) != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / JOBS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        new = folder / f"{PLAN}.new"
        new.write_text(json.dumps({**settings, "digest": digest}), encoding="utf-8")
        new.replace(folder / PLAN)
    return Plan.load(folder)


def _digest(folder: Path) -> str | None:
    try:
        found: dict[str, Any] = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get("digest")


def _parts(path: Path, source: TextSource) -> list[tuple[FilePart, int]]:
    """Parts of a file, and about how many bytes each has."""
    parts = split_file(path, source.format, JOB_BYTES, source.encoding)
    return [(part, path.stat().st_size // len(parts)) for part in parts]


def _groups(parts: list[tuple[FilePart, int]]) -> list[list[tuple[FilePart, int]]]:
    """Small files together, up to `JOB_BYTES`."""
    groups: list[list[tuple[FilePart, int]]] = []
    held = 0
    for part in parts:
        if not groups or held + part[1] > JOB_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(part)
        held += part[1]
    return groups
