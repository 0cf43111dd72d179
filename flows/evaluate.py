"""The evaluate stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="evaluate", flow_run_name="{config.name}")
def evaluate(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Compare base, fine-tuned and aligned model on held-out text and prompts. Inputs must be in the store."""
    return run_single("evaluate", config, force)
