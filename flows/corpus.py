"""The corpus stage as a flow of its own: deploy it, schedule it, rerun it."""

from prefect import flow

from configs.schema.dials import Dials
from flows.engine import run_single
from flows.form import ForceThis, Overrides, Recipe, Turned, name_run, read_form
from tasks.artifacts.ref import ArtifactRef


@flow(name="corpus", flow_run_name=name_run)
def corpus(
    recipe: Recipe = "quickstart",
    dials: Turned = Dials(),
    overrides: Overrides = [],  # noqa: B006
    force: ForceThis = False,
) -> ArtifactRef:
    """Read, normalise, filter, screen, deduplicate and mix pretraining text. Inputs must be in the store."""
    return run_single("corpus", read_form(recipe, dials, overrides), force)
