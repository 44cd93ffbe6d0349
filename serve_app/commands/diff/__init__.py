"""`sluice diff`: what a person looks at before letting a version in.

Both bundles are opened and proven as a server would, whatever fields they take (`comparison`).
Their contracts (`fields`), their metrics, and their scores (`shift`) of the same rows (`scoring`),
golden ones and those of a CSV file (`csv_rows`), lie side by side; `page` prints them.
"""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.exit_codes import ExitCode, errors_in_words
from serve_app.commands.target import (
    CONFIG,
    STORE,
    ConfigOption,
    ModelOption,
    StoreOption,
    take_model,
)


def diff(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] STABLE CANDIDATE",
            help="The model, such as churn; the version that answers now; the one to be let in.",
        ),
    ],
    store: StoreOption = STORE,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Rows to score with both, best of real traffic.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Compare two versions before one is let in: contract, metrics, scores, size and speed.

    Exit code 1: the candidate breaks clients of stable; 2: a bundle or the CSV file cannot be read.
    """
    from rich.console import Console

    from serve_app.bundle.stores import open_store
    from serve_app.commands.diff.comparison import compare
    from serve_app.commands.diff.page import as_json, show
    from serve_app.errors import SluiceError
    from serve_app.models import get_spec

    with errors_in_words(SluiceError):
        name, [stable, candidate] = take_model(words, 2, model, config)
        found = compare(open_store(store), get_spec(name), stable, candidate, csv)
    if json:
        typer.echo(as_json(found))
    else:
        show(found, Console(markup=False, highlight=False, emoji=False))
    if found.broken:
        raise typer.Exit(ExitCode.REFUSED)
