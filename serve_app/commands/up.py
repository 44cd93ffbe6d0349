"""`sluice up`: the file checked, then served on this machine or in a container (`serve_run`)."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.exit_codes import ExitCode, errors_in_words


def up(
    file: Annotated[Path, typer.Argument(help="What to serve.")] = Path("serve_config.yaml"),
    model: Annotated[
        str | None,
        typer.Option("--model", help="This model alone of the file, with its isolated versions."),
    ] = None,
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
    certfile: Annotated[
        Path | None, typer.Option("--certfile", help="The port speaks TLS: the certificate, PEM.")
    ] = None,
    keyfile: Annotated[
        Path | None, typer.Option("--keyfile", help="The key of the certificate, PEM.")
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
    without_ray_token: Annotated[
        bool,
        typer.Option(
            "--without-ray-token",
            help="With RAY_AUTH_MODE=disabled: whoever reaches a port of Ray runs code as you.",
        ),
    ] = False,
) -> None:
    """Check the file, start `serve run` on this machine, and say where it answers.

    What keeps an application from getting ready is said, and it is waited for all the same. Ctrl-C
    or SIGTERM ends it. Exit code 1: the file has errors, nothing gets ready, or a process of Ray
    ended without which replicas that die would stay dead.
    """
    from serve_app.commands.serve_run import UpOptions, run
    from serve_app.commands.terminal import Terminal
    from serve_app.commands.tls import read_tls

    with errors_in_words():
        tls = read_tls(certfile, keyfile)
        _require_sound(file, model)
        options = UpOptions(fast, host, port, drain_s, model, tls, without_ray_token)
        code = run(file, options, Terminal(highlight=False))
    raise typer.Exit(code)


def _require_sound(file: Path, model: str | None) -> None:
    """As `sluice check`; faults of applications that are left out do not matter.

    Raises typer.Exit after it has said what is wrong, and SettingsError for a model that the file
    does not serve.
    """
    from serve_app.commands.check import check

    if model is None:
        check(file)
        return
    from serve_app.commands.check.report import check_file
    from serve_app.commands.target import places_left_out, read_config
    from serve_app.commands.terminal import Terminal

    left_out = places_left_out(read_config(file), model, file)
    report = check_file(file)
    faults = tuple(
        fault
        for fault in report.faults
        if not (
            fault.place[:1] == ("applications",) and fault.place[1:2] and fault.place[1] in left_out
        )
    )
    report = replace(report, faults=faults)
    console = Terminal(soft_wrap=True, markup=False, highlight=False, emoji=False)
    for fault in report.faults:
        console.print(report.line(fault), style="red" if fault.severity == "error" else "yellow")
    if report.n_errors:
        console.print(report.summary, style="red")
        raise typer.Exit(ExitCode.REFUSED)
