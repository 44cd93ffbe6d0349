"""`python -m benchmarks.chaos`: the command line."""

import json
import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.errors import BenchmarkError
from benchmarks.place import ROOT
from serve_app.commands.exit_codes import ExitCode

SHORT_S = 6.0
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def chaos(
    fault: Annotated[
        list[str] | None, typer.Option("--fault", help="By name; may be repeated. Else all.")
    ] = None,
    mode: Annotated[
        list[str] | None, typer.Option("--mode", help="fast or plain; else both.")
    ] = None,
    placement: Annotated[
        list[str] | None, typer.Option("--placement", help="in_server or isolated; else both.")
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, help="How long each fault is watched, at least.")
    ] = 30.0,
    share: Annotated[
        float, typer.Option("--share", min=0.01, max=1, help="Load, of what the server can.")
    ] = 0.5,
    replicas: Annotated[
        int, typer.Option("--replicas", min=1, max=4, help="Of the server, and isolated ones.")
    ] = 2,
    short: Annotated[
        bool, typer.Option("--short", help="Three faults of the fast mode, six seconds each.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for JSON and Markdown.")] = (
        ROOT / ".run" / "chaos"
    ),
) -> None:
    """Break one thing after the other under steady load, and report what clients lost.

    Exit code 1: something was missed, and the report says what.
    """
    from benchmarks.chaos import report
    from benchmarks.chaos.disks import enter_namespace
    from benchmarks.chaos.fault import MODES, PLACEMENTS
    from benchmarks.chaos.faults import FAULTS, SHORT
    from benchmarks.chaos.run import run
    from benchmarks.machine import describe_machine

    enter_namespace()
    console = Console(highlight=False, soft_wrap=True)
    names = fault or [one.name for one in FAULTS]
    if short:
        names = fault or list(SHORT)
        mode = mode or ["fast"]
        placement = placement or ["in_server"]
        seconds = min(seconds, SHORT_S)
    _require(names, [one.name for one in FAULTS])
    _require(mode or [], MODES)
    _require(placement or [], PLACEMENTS)
    chosen = [one for one in FAULTS if one.name in names]
    parts: list[report.Part] = []
    out.mkdir(parents=True, exist_ok=True)
    try:
        for part in run(
            chosen, mode or MODES, placement or PLACEMENTS, seconds, share, replicas, console
        ):
            parts.append(part)
            # What is known stays known when a later server cannot be started.
            (out / "chaos.json").write_text(json.dumps([asdict(part) for part in parts], indent=1))
            (out / "chaos.md").write_text(report.markdown(parts, describe_machine()))
    except BenchmarkError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(ExitCode.REFUSED) from None
    except KeyboardInterrupt:
        console.print("interrupted: everything that was started has been ended", style="yellow")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    lines = [line for part in parts for line in report.missed(part)]
    for line in lines:
        console.print(f"missed: {line}", style="red", markup=False)
    console.print(f"report: {out}/chaos.md")
    raise typer.Exit(ExitCode.REFUSED if lines else ExitCode.OK)


def _require(found: Sequence[str], names: Sequence[str]) -> None:
    unknown = sorted(set(found) - set(names))
    if unknown:
        raise typer.BadParameter(f"found {', '.join(unknown)}; expected some of {', '.join(names)}")


def main() -> None:
    """Run the command line; SIGTERM ends what was started, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _interrupt)
    app(prog_name="python -m benchmarks.chaos")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
