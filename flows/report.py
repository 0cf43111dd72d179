"""The report stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="report", flow_run_name="{config.name}")
def report(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Write one HTML page with curves and samples, and summary.json. Inputs must be in the store."""
    return run_single("report", config, force)
