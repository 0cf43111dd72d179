"""The finetune stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="finetune", flow_run_name="{config.name}")
def finetune(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Fit a LoRA adapter to instructions, loss on the assistant's tokens only. Inputs must be in the store."""
    return run_single("finetune", config, force)
