"""The command line. Heavy imports live inside the commands: ``plumbline --help`` answers at once, without torch."""

import json
import sys
from typing import Annotated

import typer

app = typer.Typer(
    name="plumbline",
    help="Raw text to an aligned chat model, as a workflow whose stages can be rerun and resumed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeArg = Annotated[str, typer.Argument(help="Shipped recipe or YAML file.", metavar="RECIPE")]
RunArg = Annotated[str | None, typer.Argument(help="Run, or the beginning of its name; the latest by default.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: ppo.kl.beta=0.2", metavar="A.B=C")
]
FromOption = Annotated[str | None, typer.Option("--rerun-from", help="Run this stage and all that depend on it.")]
ForceOption = Annotated[list[str] | None, typer.Option("--force", help="Run this stage although it could be reused.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]


@app.command()
def run(recipe: RecipeArg, set_: SetOption = None, rerun_from: FromOption = None, force: ForceOption = None) -> None:
    """Run a recipe: stages that are done are reused, a killed run goes on where it was."""
    from flows.engine import prepare_environment

    prepare_environment(quiet=True)
    from flows.terminal import run_recipe

    config = _recipe(recipe, set_)
    _check_stages(config, [*(force or []), *([rerun_from] if rerun_from else [])])
    run_recipe(recipe, set_ or [], config, rerun_from, force or [])


@app.command()
def plan(
    recipe: RecipeArg,
    set_: SetOption = None,
    rerun_from: FromOption = None,
    force: ForceOption = None,
    as_json: JsonOption = False,
    settings: Annotated[bool, typer.Option("--settings", help="Print every setting of every stage.")] = False,
) -> None:
    """Show stages, keys, parameters and what would be reused, without running anything."""
    from flows.show import print_plan

    config = _recipe(recipe, set_)
    _check_stages(config, [*(force or []), *([rerun_from] if rerun_from else [])])
    print_plan(recipe, config, rerun_from, force or [], as_json, settings)


@app.command()
def status(run: RunArg = None, as_json: JsonOption = False) -> None:
    """Show the stages of a run: state, seconds, artifact, metrics."""
    from flows.show import print_status

    print_status(run, as_json)


@app.command()
def report(
    run: RunArg = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Say where the report of a run is."""
    from flows.show import print_report

    print_report(run, open_)


@app.command()
def chat(
    run: RunArg = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="Answer this and leave.")] = None,
    model: Annotated[str, typer.Option("--model", help="base, finetuned or aligned.")] = "aligned",
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.", min=0.0)] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.", min=1)] = 128,
) -> None:
    """Talk to a model of a run."""
    from flows.talk import talk

    talk(run, prompt, model, temperature, max_new_tokens)


@app.command()
def verify(
    run: Annotated[str | None, typer.Argument(help="Run to verify; the whole store by default.")] = None,
) -> None:
    """Hash every file of every artifact again and compare with its manifest."""
    from flows.upkeep import verify_artifacts

    verify_artifacts(run)


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    unreferenced: Annotated[
        bool, typer.Option("--unreferenced", help="Also artifacts that no kept run made or reused.")
    ] = False,
    keep_runs: Annotated[int, typer.Option("--keep-runs", help="Runs whose artifacts stay.", min=1)] = 10,
) -> None:
    """Remove leftovers: superseded artifacts, dead writers' folders, working folders of finished stages."""
    from flows.upkeep import collect_garbage

    collect_garbage(dry_run, unreferenced, keep_runs)


@app.command()
def recipes(as_json: JsonOption = False) -> None:
    """List the shipped recipes."""
    from configs.recipe import load_recipe, shipped

    rows = {name: load_recipe(name).about for name in shipped()}
    print(json.dumps(rows) if as_json else "\n".join(f"{name:16} {about}" for name, about in rows.items()))
    if not as_json:
        print("\nnext: plumbline plan quickstart")


def _recipe(name: str, changes: list[str] | None):  # type: ignore[no-untyped-def]
    from configs.recipe import load_recipe

    return load_recipe(name, changes)


def _check_stages(config: object, names: list[str]) -> None:
    from configs.schema import STAGES

    for name in names:
        if name not in STAGES or getattr(config, name) is None:
            raise typer.BadParameter(f"{name!r} is not a stage of this recipe; stages: {', '.join(STAGES)}")


def main() -> None:
    """Entry point: every expected failure is one clear message on stderr and exit status 1."""
    try:
        app()
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not _expected(error):
            raise
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


def _expected(error: Exception) -> bool:
    from configs.recipe import RecipeError
    from tasks.failures import StageFailure

    return isinstance(error, (RecipeError, StageFailure))
