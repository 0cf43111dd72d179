"""The rank stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="rank", flow_run_name="{config.name}")
def rank(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Collect rankings of K answers a prompt, from data sets or sampled. Inputs must be in the store."""
    return run_single("rank", config, force)
