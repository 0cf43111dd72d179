"""The reward stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="reward", flow_run_name="{config.name}")
def reward(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Train the reward model on K-way rankings. Inputs must be in the store."""
    return run_single("reward", config, force)
