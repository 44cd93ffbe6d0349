"""`sluice up`: the file checked, then served on this machine or in a container (`serve_run`)."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.check import check
from serve_app.commands.exit_codes import errors_in_words


def up(
    file: Annotated[Path, typer.Argument(help="What to serve.")] = Path("serve_config.yaml"),
    fast: Annotated[
        bool, typer.Option("--fast/--plain", help="With or without Ray's two flags for speed.")
    ] = True,
    host: Annotated[
        str | None,
        typer.Option(
            "--host", envvar="SLUICE_HOST", help="In place of the file's, such as 0.0.0.0."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", envvar="SLUICE_PORT", min=1, max=65_535, help="In place of the file's."
        ),
    ] = None,
    drain_s: Annotated[
        float,
        typer.Option(
            "--drain-s",
            envvar="SLUICE_DRAIN_S",
            min=0,
            max=600,
            help="At SIGTERM: so long not ready, but answering.",
        ),
    ] = 0,
) -> None:
    """Check the file, start `serve run` on this machine, and say where it answers.

    Ctrl-C or SIGTERM ends it. Exit code 1: the file has errors, or nothing gets ready.
    """
    check(file)
    from rich.console import Console

    from serve_app.commands.serve_run import UpOptions, run

    with errors_in_words():
        code = run(file, UpOptions(fast, host, port, drain_s), Console(highlight=False))
    raise typer.Exit(code)
