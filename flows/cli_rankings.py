"""Commands of ``plumbline rankings``. Heavy imports live inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

rankings = typer.Typer(
    name="rankings", help="Look at rankings, change their layout, take them out of a run.", no_args_is_help=True
)

ToOption = Annotated[
    str,
    typer.Option(
        "--to", help="own, pairs, pairs-chat, hh, oasst, alpaca-eval, ultrafeedback, label-studio or argilla."
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="File to write: .jsonl or .json.", metavar="FILE")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]


@rankings.command()
def trust(
    what: Annotated[str | None, typer.Argument(help="Run, or a file of rankings; the latest run by default.")] = None,
    form: Annotated[str, typer.Option("--format", help="Format of the file, as in rank.sources.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Agreement, cycles and biases of rankings, and annotators to look at."""
    from flows.trust import print_trust

    print_trust(what, form, as_json)


@rankings.command()
def convert(
    file: Annotated[Path, typer.Argument(help="Rankings in any layout.", metavar="IN")],
    out: OutOption,
    to: ToOption = "own",
    from_: Annotated[str, typer.Option("--from", help="Layout of IN; by its keys by default.")] = "auto",
    field: Annotated[
        list[str] | None, typer.Option("--field", help="A column by the layout's name for it.", metavar="NAME=COLUMN")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Origin of the rankings; the file's name by default.")] = "",
) -> None:
    """Write rankings in another layout; says what it cannot hold."""
    from flows.rankings import convert as convert_file

    convert_file(file, from_, to, out, field or [], name)


@rankings.command()
def export(
    out: OutOption,
    run: Annotated[str | None, typer.Argument(help="Run, or the folder of its rankings; the latest run.")] = None,
    to: ToOption = "own",
    split: Annotated[str, typer.Option("--split", help="all, train or heldout.")] = "all",
) -> None:
    """Write the rankings of a run in any layout; says what it cannot hold."""
    from flows.rankings import export as export_run

    export_run(run, to, out, split)
