"""The finetune stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema.dials import Dials
from flows.engine import run_single
from flows.form import ForceThis, Overrides, Recipe, Turned, name_run, read_form
from tasks.artifacts.ref import ArtifactRef


@flow(name="finetune", flow_run_name=name_run)
def finetune(
    recipe: Recipe = "quickstart",
    dials: Turned = Dials(),
    overrides: Overrides = [],  # noqa: B006
    force: ForceThis = False,
) -> ArtifactRef:
    """Fit a LoRA adapter to instructions, loss on the assistant's tokens only. Inputs must be in the store."""
    return run_single("finetune", read_form(recipe, dials, overrides), force)
