"""The trl stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema.dials import Dials
from flows.engine import run_single
from flows.form import ForceThis, Overrides, Recipe, Turned, name_run, read_form
from tasks.artifacts.ref import ArtifactRef


@flow(name="trl", flow_run_name=name_run)
def trl(
    recipe: Recipe = "quickstart",
    dials: Turned = Dials(),
    overrides: Overrides = [],  # noqa: B006
    force: ForceThis = False,
) -> ArtifactRef:
    """Align the fine-tuned model by DPO, KTO, GRPO or RLOO. Inputs must be in the store."""
    return run_single("trl", read_form(recipe, dials, overrides), force)
