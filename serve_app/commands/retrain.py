"""`sluice retrain`: the next version, of logged rows and labels. `python -m training` does it."""

from typing import Annotated

import typer

from serve_app.commands.new import hand_to_training


def retrain(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL] --labels FILE.csv --if-needed ...", help="See --help."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model, as a word too.")] = None,
) -> None:
    """Train the next version on what was logged and came true, or on a CSV file, and push it.

    `sluice retrain churn --labels labels.csv --if-needed`. It prints the rollout that lets the new
    version in, beginning in shadow.

    Exit code 1: refused, with the reason; 2: server or log cannot be read; 20: with --if-needed the
    data is at fault, and nothing was trained.
    """
    hand_to_training("retrain", [*([model] if model else []), *(words or [])])
