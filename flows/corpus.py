"""The corpus stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="corpus", flow_run_name="{config.name}")
def corpus(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Read, normalise, filter, screen, deduplicate and mix pretraining text. Inputs must be in the store."""
    return run_single("corpus", config, force)
