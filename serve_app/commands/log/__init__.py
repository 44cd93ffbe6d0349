"""`sluice log query` and `sluice log export`: the prediction log as a table (`tables`)."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words
from serve_app.commands.log.options import LastOption, LogOption, log_place, since_of
from serve_app.commands.target import CONFIG, ConfigOption, ModelOption, take_model

MOST_SHOWN = 1_000

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Ask the prediction log. Exit code 1: no SQL that it understands; 2: it cannot be read.",
)


@app.command()
def query(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] SQL",
            help="The model, such as churn; a question to the table predictions.",
        ),
    ],
    last: LastOption = None,
    log: LogOption = None,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a list of rows.")] = False,
) -> None:
    """Ask what was answered, in SQL: `"select version, count(*) from predictions group by 1"`.

    A row of the table `predictions` is a row that was answered: `answered_at` (UTC), `id`,
    `version`, `assigned`, `key`, `ms`, `outcome`, each field of the contract, and its `score`.

    Exit code 1: the question cannot be answered; 2: the log cannot be read, or duckdb is missing.
    """
    from pydantic_core import to_json

    from serve_app.commands.log.tables import opened
    from serve_app.commands.terminal import Terminal
    from serve_app.errors import PredictionLogError
    from serve_app.models import get_spec

    with errors_in_words(PredictionLogError):
        named, [sql] = take_model(words, 1, model, config)
        spec = get_spec(named)
        with opened(log_place(named, log, config), spec, since_of(last)) as table:
            found = table.ask(sql, None if as_json else MOST_SHOWN)
    if as_json:
        rows = [dict(zip(found.names, row, strict=True)) for row in found.rows]
        typer.echo(to_json(rows, fallback=str, inf_nan_mode="null").decode())
        return
    Terminal(highlight=False, markup=False, emoji=False).print(found.as_table())
    if found.is_cut:
        typer.echo(f"The first {MOST_SHOWN:,} rows; --json has all.", err=True)


@app.command()
def export(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] FILE",
            help="The model, such as churn; a .csv, .parquet or .jsonl that is written.",
        ),
    ],
    last: LastOption = None,
    log: LogOption = None,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Write the table `predictions` into a file, which is there whole or not at all.

    Exit code 1: the file cannot be written; 2: the log cannot be read, or duckdb is missing.
    """
    from serve_app.commands.log.tables import opened
    from serve_app.errors import PredictionLogError
    from serve_app.models import get_spec

    with errors_in_words(PredictionLogError):
        named, [file] = take_model(words, 1, model, config)
        spec = get_spec(named)
        with opened(log_place(named, log, config), spec, since_of(last)) as table:
            n_rows = table.export(Path(file))
    typer.echo(f"{file}: {n_rows:,} rows")
