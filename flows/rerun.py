"""`plumbline rerun`: the settings of an earlier run again, exactly, even if its recipe file has changed since."""

from pathlib import Path

import yaml

from tasks.run import RunRecord, find_run


def recorded_recipe(name: str | None) -> Path:
    """The recipe of a run as a file, written from its record: every setting spelled out, defaults of that day too."""
    return write_recipe(find_run(name))


def write_recipe(record: RunRecord) -> Path:
    """``runs/RUN/recipe.yaml``. A deployment, a colleague, and ``plumbline run`` can use it as well."""
    path = record.folder / "recipe.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True, width=120)
    new = path.with_suffix(".new")
    new.write_text(f"# Every setting of run {record.run}\n{text}", encoding="utf-8")
    new.replace(path)
    return path
