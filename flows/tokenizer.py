"""The tokenizer stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema import AlignConfig
from flows.engine import run_single
from tasks.artifacts.ref import ArtifactRef


@flow(name="tokenizer", flow_run_name="{config.name}")
def tokenizer(config: AlignConfig, force: bool = False) -> ArtifactRef:
    """Train a byte-level BPE with chat special tokens, or take the base's over. Inputs must be in the store."""
    return run_single("tokenizer", config, force)
