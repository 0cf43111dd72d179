"""The pretrain stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="pretrain", flow_run_name="{config.name}")
def pretrain(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Train the base model on the corpus, or take a given one over. Inputs must be in the store."""
    return run_single("pretrain", config, force)
