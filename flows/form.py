"""What every flow asks for: the form that the Prefect UI shows, and its translation into one recipe."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from configs.recipe import load_recipe, shipped
from configs.schema import STAGES, AlignConfig, StageName
from configs.schema.dials import Dials


def _draw(description: str, **schema: Any) -> Any:
    """How the form shows a parameter. Prefect drops the description of a field, but not what is added to its schema."""
    return Field(json_schema_extra={"description": description, **schema})


Recipe = Annotated[
    str, _draw("Recipe to run: a shipped name; on the command line also a YAML file.", enum=list(shipped()))
]
# Drawn without its nulls, which the schema does not allow: what is left empty is not sent
Turned = Annotated[Dials, _draw("A few settings by name; what is left empty stays as the recipe says.", default={})]
# A URL with a password or token must not become a parameter, which Prefect stores: of values with "@", those without
# ":" pass, and URLs whose bare user is no secret. Without lookahead, which pydantic's patterns do not have
_CHANGE = r"^[A-Za-z_][\w.]*=([^@]*|((abfss?|wasbs?|sftp|ssh|hdfs|smb|hf)://)?[^:]*)$"
Change = Annotated[str, Field(pattern=_CHANGE, description="path=value")]
Overrides = Annotated[
    list[Change],
    _draw("Any other setting of the recipe, one an item, as path=value: ppo.kl.target=6, pretrain.batch=32."),
]
RerunFrom = Annotated[
    StageName | None,
    WithJsonSchema({"enum": [*STAGES, None]}),
    _draw("Run this stage and all that depend on it, although they could be reused."),
]
Force = Annotated[list[StageName], _draw("Run these stages, and only these, although they could be reused.")]
ForceThis = Annotated[bool, _draw("Run the stage although its artifact could be reused.")]


def read_form(recipe: str, dials: Dials, overrides: list[str]) -> AlignConfig:
    """The recipe with its dials turned, then the overrides. Raises RecipeError with every problem at once."""
    return load_recipe(recipe, [*dials.changes(), *overrides])


def name_run() -> str:
    """Name of a flow run in the UI: what it runs, and from where it was rerun."""
    from prefect.runtime import flow_run

    given: dict[str, Any] = flow_run.parameters
    rerun = given.get("rerun_from")
    return Path(str(given["recipe"])).stem + (f" from {rerun}" if rerun else "")
