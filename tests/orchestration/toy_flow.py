"""A deployable flow with one toy stage: ``service.deploy("count", "tests/orchestration/toy_flow.py:count")``."""

from prefect import flow
from toy_stage import CountConfig, corpus

from configs.recipe import load_recipe
from flows.engine import open_run
from tasks.artifacts.ref import ArtifactRef


@flow(name="count")
def count(name: str, steps: int = 100) -> ArtifactRef:
    """Count, in a child process under accelerate."""
    with open_run(load_recipe("nano"), only="corpus") as run:
        return corpus(run, CountConfig(steps=steps, name=name))
