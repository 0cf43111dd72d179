"""The ppo stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="ppo", flow_run_name="{config.name}")
def ppo(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Align the fine-tuned model to the reward model by PPO. Inputs must be in the store."""
    return run_single("ppo", config, force)
