"""`sluice diff`: what a person looks at before letting a version in.

Both bundles are opened and proven as a server would, whatever fields they take (`comparison`).
Their contracts (`fields`), their metrics, and their scores (`shift`) of the same rows (`scoring`),
golden ones and those of a CSV file (`csv_rows`), lie side by side; `page` prints them, and `limits`
fails a pipeline by them.
"""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words, say_error
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
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="LIMITS",
            help="For CI: flips=1%,shift=0.02,auc=-0.01,slower=1.5x,contract. Any metric of labels "
            "can be one: the most that the candidate's may differ.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Compare two versions before one is let in: contract, metrics, scores, size and speed.

    Exit code 1: the candidate breaks clients of stable; 2: a bundle or the CSV file cannot be read,
    or a limit cannot be judged. Limits of --fail-on: 4: a metric; 5: flips; 6: shift; 7: slower;
    of several the lowest.
    """
    from serve_app.bundle.stores import open_store
    from serve_app.commands.diff.comparison import compare
    from serve_app.commands.diff.limits import exit_code, judge, parse_limits
    from serve_app.commands.diff.page import as_json, show
    from serve_app.commands.terminal import Terminal
    from serve_app.errors import SluiceError
    from serve_app.models import get_spec

    with errors_in_words(SluiceError):
        limits = () if fail_on is None else parse_limits(fail_on)
        name, [stable, candidate] = take_model(words, 2, model, config)
        found = compare(open_store(store), get_spec(name), stable, candidate, csv)
    judged = judge(found, limits)
    if json:
        typer.echo(as_json(found, judged))
    else:
        show(found, Terminal(markup=False, highlight=False, emoji=False))
    for one in judged:
        if one.code:
            say_error(one.said)
    code = exit_code(found, judged)
    if code:
        raise typer.Exit(code)
