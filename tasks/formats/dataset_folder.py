"""Folders that ``datasets.save_to_disk`` writes: the Arrow files of one data set, or one such folder a split."""

import json
from pathlib import Path
from typing import Any

from tasks.failures import BadData

STATE, SPLITS = "state.json", "dataset_dict.json"


def dataset_files(folder: Path) -> list[Path]:
    """Arrow files of a saved data set, in their order.

    Raises BadData when the folder is no such data set, holds several splits, or lacks a file that it names.
    """
    if (folder / SPLITS).is_file():
        splits = _json(folder / SPLITS).get("splits", [])
        raise BadData(
            f"{folder.name}: holds the splits {', '.join(splits)}; name one: {folder.name}/{splits[0]}"
            if splits
            else f"{folder.name}: holds no split"
        )
    if not (folder / STATE).is_file():
        raise BadData(
            f"{folder.name}: a folder, and not one that datasets.save_to_disk wrote; name its files, for example "
            f"{folder.name}/**/*.jsonl"
        )
    state = _json(folder / STATE)
    if state.get("_indices_files"):
        raise BadData(f"{folder.name}: rows are chosen by an index; save it with flatten_indices().save_to_disk(…)")
    names = [Path(str(entry["filename"])).name for entry in state.get("_data_files", [])]
    files = [folder / name for name in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise BadData(f"{folder.name}: {', '.join(missing) or 'every Arrow file'} is missing; fetch the folder again")
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadData(f"{path.parent.name}/{path.name}: not JSON ({error}); fetch the folder again") from error
    if not isinstance(values, dict):
        raise BadData(f"{path.parent.name}/{path.name}: not an object; fetch the folder again")
    return values
