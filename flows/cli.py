"""The command line. Heavy imports live inside the commands: ``plumbline --help`` answers at once, without torch."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli_rankings import rankings

app = typer.Typer(
    name="plumbline",
    help="Raw text to an aligned chat model, as a workflow whose stages can be rerun and resumed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(rankings)

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
    measure: Annotated[
        bool, typer.Option("--measure", help="Time this machine for the model of ppo first; kept for later plans.")
    ] = False,
) -> None:
    """Show stages, keys, parameters, what would be reused, memory and time of ppo, without running anything."""
    from flows.show import print_plan

    config = _recipe(recipe, set_)
    _check_stages(config, [*(force or []), *([rerun_from] if rerun_from else [])])
    print_plan(recipe, config, rerun_from, force or [], as_json, settings, measure)


@app.command()
def rerun(
    run: RunArg = None,
    rerun_from: Annotated[str | None, typer.Option("--from", help="Run this stage and all that depend on it.")] = None,
    force: ForceOption = None,
    set_: SetOption = None,
) -> None:
    """Run the exact settings of an earlier run again; a run that failed or was cancelled goes on."""
    from flows.engine import prepare_environment

    prepare_environment(quiet=True)
    from flows.rerun import recorded_recipe
    from flows.terminal import run_recipe

    recipe = str(recorded_recipe(run))
    config = _recipe(recipe, set_)
    _check_stages(config, [*(force or []), *([rerun_from] if rerun_from else [])])
    run_recipe(recipe, set_ or [], config, rerun_from, force or [])


@app.command()
def cancel(run: RunArg = None) -> None:
    """End a run of another terminal or of a worker; its checkpoints are kept."""
    from flows.cancel import cancel as cancel_run

    cancel_run(run)


@app.command()
def diff(
    run: Annotated[str, typer.Argument(help="Run A, or the beginning of its name.", metavar="RUN")],
    other: Annotated[str, typer.Argument(help="Run B.", metavar="RUN")],
    as_json: JsonOption = False,
) -> None:
    """Compare two runs: settings, data, metrics."""
    from flows.diff import print_diff

    print_diff(run, other, as_json)


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Runs, or the beginnings of their names.", metavar="RUN RUN …")],
    markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put methods of alignment side by side: reward, KL, wins, length, perplexity, steps, seconds, parameters."""
    from flows.compare import print_comparison

    print_comparison(runs, markdown, as_json)


@app.command()
def status(
    run: RunArg = None,
    all_: Annotated[bool, typer.Option("--all", help="The newest 20 runs instead of one.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the stages of a run: state, seconds, artifact, metrics, and how far the one that runs is."""
    from flows.status import print_runs, print_status

    print_runs(as_json) if all_ else print_status(run, as_json)


@app.command()
def logs(
    run: RunArg = None,
    stage: Annotated[str | None, typer.Argument(help="Stage; all by default. It may stand alone.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    lines: Annotated[int | None, typer.Option("--lines", "-n", help="Only the last lines.", min=0)] = None,
) -> None:
    """Print the whole log of a stage: every attempt, everything that was said, reported and printed."""
    from flows.logs import print_logs

    print_logs(run, stage, follow, lines)


@app.command()
def slots(
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Limit a class: nvidia-h200=4.", metavar="C=N")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the GPUs of this host, who uses them, and the limits of every device class."""
    from flows.slots import print_slots

    print_slots(set_ or [], as_json)


@app.command()
def resume(
    run: RunArg = None,
    rankings: Annotated[
        Path | None, typer.Option("--rankings", help="Ranked candidates; the sheet that was given out by default.")
    ] = None,
    annotator: Annotated[str, typer.Option("--annotator", help="Who ranked, for rows that do not say it.")] = "",
) -> None:
    """Give rankings to a run that waits for them; it goes on."""
    from flows.engine import prepare_environment

    prepare_environment(quiet=True)
    from flows.resume import resume as resume_run

    resume_run(run, rankings, annotator)


@app.command()
def rank(
    run: RunArg = None,
    annotator: Annotated[
        list[str] | None, typer.Option("--annotator", "-a", help="Who ranks; once for each. Their links are printed.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", help="Port on 127.0.0.1; rank.people.page.port by default.", min=1, max=65535),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Address of a proxy in front of it; PLUMBLINE_RANK_URL by default.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All runs of deployments that wait here, until Ctrl-C; as plumbline up does.")
    ] = False,
) -> None:
    """Open the page on which people rank the candidates of a run that waits; then it goes on by itself."""
    if all_ and (run or annotator or port or url):
        raise typer.BadParameter("--all serves every page as the settings of its run say; give nothing else")
    from flows.engine import prepare_environment

    prepare_environment(quiet=True)
    if all_:
        from flows.rank_host import rank_all

        rank_all()
        return
    from flows.rank_page import rank as open_page

    open_page(run, annotator or [], port, url)


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
    run: Annotated[str | None, typer.Argument(help="Run to verify; every store by default.")] = None,
) -> None:
    """Hash every file of every artifact again and compare with its manifest."""
    from flows.upkeep import verify_artifacts

    verify_artifacts(run)


@app.command()
def keep(run: RunArg = None, undo: Annotated[bool, typer.Option("--undo", help="Keep it no longer.")] = False) -> None:
    """Keep the artifacts of a run: plumbline gc leaves them alone."""
    from flows.upkeep import keep as keep_run

    keep_run(run, undo)


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    unreferenced: Annotated[
        bool, typer.Option("--unreferenced", help="Also artifacts that no kept run made or reused.")
    ] = False,
    keep_runs: Annotated[int, typer.Option("--keep-runs", help="Runs whose artifacts stay.", min=1)] = 10,
) -> None:
    """Remove leftovers in every store: superseded artifacts, dead writers' folders, finished working folders."""
    from flows.upkeep import collect_garbage

    collect_garbage(dry_run, unreferenced, keep_runs)


@app.command()
def notify(
    slack: Annotated[bool, typer.Option("--slack", help="Address from PLUMBLINE_SLACK_URL or a prompt.")] = False,
    webhook: Annotated[bool, typer.Option("--webhook", help="Address from PLUMBLINE_WEBHOOK_URL or a prompt.")] = False,
    email: Annotated[bool, typer.Option("--email", help="Mail server from PLUMBLINE_EMAIL_URL or a prompt.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Disconnect the named channels, or all.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show what is connected.")] = False,
) -> None:
    """Be told when a run fails, waits for rankings, or is finished."""
    from flows.engine import prepare_environment

    prepare_environment(quiet=True)
    from flows.notify import notify as connect

    named = {"slack": slack, "webhook": webhook, "email": email}
    connect([channel for channel, wanted in named.items() if wanted], remove, list_)


@app.command()
def up(
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1.", min=1, max=65535)] = 4200,
) -> None:
    """Start a local Prefect server with all deployments and a worker, print its URL, keep it up until Ctrl-C."""
    from flows.engine import prepare_environment

    prepare_environment(quiet=True)
    from flows.up import up as keep_up

    keep_up(port)


@app.command()
def deploy(
    pool: Annotated[str, typer.Option("--pool", help="Work pool that runs them.")] = "plumbline",
    directory: Annotated[
        str | None, typer.Option("--directory", help="Where the pool's workers have this project; here by default.")
    ] = None,
) -> None:
    """Register all flows on the Prefect server: work pool, one deployment a flow, schedules (off), automations."""
    from flows.engine import prepare_environment

    prepare_environment(quiet=True)
    from flows.deploy import deploy as register

    register(pool, directory)


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


def _check_stages(config: Any, names: list[str]) -> None:
    for name in sorted({*names} - {*config.stages}):
        raise typer.BadParameter(f"{name!r} is not a stage of this recipe; stages: {', '.join(config.stages)}")


def main(arguments: list[str] | None = None) -> None:
    """Entry point: every expected failure is one clear message on stderr and exit status 1."""
    try:
        app(arguments)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not (message := _explain(error)):
            raise
        print(f"\n{message}", file=sys.stderr)
        sys.exit(1)


def _explain(error: Exception) -> str | None:
    """What the user reads of a failure that is expected; None for a bug, which shows its traceback."""
    from configs.recipe import RecipeError
    from flows.refusals import server_refusal
    from tasks.failures import StageFailure

    if isinstance(error, (RecipeError, StageFailure)):
        return f"{type(error).__name__}: {error}"
    return server_refusal(error)
