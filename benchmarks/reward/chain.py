"""Stages of a recipe one after the other, without Prefect: what the benchmarks of the reward model start from."""

import os
from pathlib import Path

from configs.recipe import load_recipe
from tasks.artifacts.ref import ArtifactRef
from tasks.run import Run
from tasks.stages import BY_NAME


def run_stages(recipe: str, changes: list[str], names: list[str], home: Path) -> dict[str, ArtifactRef]:
    """The artifact of each stage named, in order; what ``home`` holds already is reused, as `plumbline run` does.

    A stage gets those of its inputs that are among the names before it. Every child runs on one thread.
    """
    os.environ["PLUMBLINE_HOME"] = str(home)
    os.environ.pop("PLUMBLINE_STORE", None)
    threads = [f"{name}.launch.threads=1" for name in names if "launch" in BY_NAME[name].config.model_fields]
    config = load_recipe(recipe, [*changes, *threads])
    run = Run.begin(config, names)
    refs: dict[str, ArtifactRef] = {}
    for name in names:
        stage = BY_NAME[name]
        given = {key: refs[maker] for key, maker in stage.makers(config).items() if maker in refs}
        refs[name], state = stage.execute(run, getattr(config, name), given)
        row = run.record.row(name)
        print(f"  {name}: {state} in {row['seconds']:.0f} s", flush=True)
    return refs
