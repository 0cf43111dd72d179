"""What every flow asks for: the form that the Prefect UI shows, and its translation into one recipe."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from configs.recipe import load_recipe, shipped
from configs.schema import AlignConfig, StageName
from configs.schema.dials import Dials

Recipe = Annotated[
    str,
    Field(
        description="Recipe to run: a shipped name; on the command line also a YAML file.",
        json_schema_extra={"enum": shipped()},
    ),
]
Change = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*=", description="path=value")]
Overrides = Annotated[
    list[Change],
    Field(
        description="Any other setting of the recipe, one a line, as path=value: ppo.kl.target=6, pretrain.batch=32."
    ),
]
RerunFrom = Annotated[
    StageName | None,
    Field(description="Run this stage and all that depend on it, although they could be reused."),
]
Force = Annotated[
    list[StageName], Field(description="Run these stages, and only these, although they could be reused.")
]
ForceThis = Annotated[bool, Field(description="Run the stage although its artifact could be reused.")]


def read_form(recipe: str, dials: Dials, overrides: list[str]) -> AlignConfig:
    """The recipe with its dials turned, then the overrides. Raises RecipeError with every problem at once."""
    return load_recipe(recipe, [*dials.changes(), *overrides])


def name_run() -> str:
    """Name of a flow run in the UI: what it runs, and from where it was rerun."""
    from prefect.runtime import flow_run

    given: dict[str, Any] = flow_run.parameters
    rerun = given.get("rerun_from")
    return Path(str(given["recipe"])).stem + (f" from {rerun}" if rerun else "")
