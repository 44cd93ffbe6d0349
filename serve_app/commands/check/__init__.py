"""`sluice check`: every fault of a serve_config.yaml, with its place and line, before a deploy.

The file is read (`document`), compared with Ray's own schema and ours (`schema`, `plan`), and what
it asks for is compared with what a server needs (`rules`) and what the store has (`in_store`);
`report` puts it together. Nothing here starts what the file names; of it, the modules of contracts
are imported.
"""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.exit_codes import ExitCode


def check(
    file: Annotated[Path, typer.Argument(help="The file to check.")] = Path("serve_config.yaml"),
    store: Annotated[
        bool, typer.Option("--store/--no-store", help="Look into the bundles of the store too.")
    ] = True,
    cpus: Annotated[
        float | None,
        typer.Option(
            "--cpus", min=0, help="CPUs of the cluster: do all replicas and their surge fit?"
        ),
    ] = None,
) -> None:
    """Find every fault of a serve_config.yaml before it is deployed.

    Ray itself ignores keys that it does not know. Exit code 1: there are errors; warnings do not
    fail.
    """
    from serve_app.commands.check.report import check_file
    from serve_app.commands.terminal import Terminal

    console = Terminal(soft_wrap=True, markup=False, highlight=False, emoji=False)
    report = check_file(file, with_store=store, n_cpus=cpus)
    for fault in report.faults:
        console.print(report.line(fault), style="red" if fault.severity == "error" else "yellow")
    console.print(report.summary, style="red" if report.n_errors else "green")
    if report.n_errors:
        raise typer.Exit(ExitCode.REFUSED)
