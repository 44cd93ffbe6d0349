"""`sluice rollout …`: watch and command a rollout over HTTP (`rollout_client`, `rollout_page`)."""

import getpass
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.commands.exit_codes import ExitCode, errors_in_words
from serve_app.commands.target import CONFIG, ConfigOption, ModelOption

if TYPE_CHECKING:
    from rich.console import Console

    from serve_app.rollout.command import CommandName
    from serve_app.rollout.view import RolloutView

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Watch a rollout, and command it. Exit code 1: refused; 2: no answer.",
)
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Of the server, with the model's prefix, such as …:8000/delivery-time; else as the "
        "file says.",
    ),
]
REFRESH_S = 1.0
# `serve deploy` ends before a server has taken the file: whoever watches next may be early.
BEGIN_TIMEOUT_S = 60.0
OUT = ("aborted", "rolled_back")


@app.command()
def status(
    url: Url = None,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Look again each second until it is over, or Ctrl-C. Waits a minute for one to "
            "begin.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show how far it is, and what speaks against the candidate.

    Exit code 1: refused; 2: no answer; 3: the candidate is out (aborted or rolled back).
    """
    from serve_app.commands import rollout_client as client
    from serve_app.commands.rollout_page import page
    from serve_app.commands.terminal import Terminal

    console = Terminal(highlight=False)
    url = _found(url, model, config)
    with errors_in_words(client.Unreachable):
        view = _first_view(url, console) if watch else client.status(url)
    if as_json:
        typer.echo(json.dumps(view.model_dump(mode="json")))
    elif watch:
        view = _watch(url, view, console)
    else:
        console.print(page(view))
    if view.is_out or view.status in OUT:
        raise typer.Exit(ExitCode.CANDIDATE_OUT)


def _add_command(action: "CommandName", said: str) -> None:
    @app.command(action, help=said)
    def command(
        url: Url = None,
        model: ModelOption = None,
        config: ConfigOption = CONFIG,
        reason: Annotated[str, typer.Option("--reason", help="Kept in the log.")] = "",
        by: Annotated[
            str | None, typer.Option("--by", help="Kept in the log; else your login name.")
        ] = None,
    ) -> None:
        _command(action, _found(url, model, config), reason, by)


_add_command("pause", "Stay at this share; the candidate is still judged.")
_add_command("resume", "Go on; what held it is accepted for this run.")
_add_command("step", "Go to the next step as soon as the candidate is ready for it.")
_add_command("promote", "Go to 100 % as soon as the candidate is ready for it.")
_add_command("abort", "Go to 0 % within two seconds, and stay there until `start`.")
_add_command("rollback", "Bring the version before back within two seconds, after 100 %.")
_add_command("out", "Go to 0 % now, in every state; as often as you like.")
_add_command("start", "Begin again, as another run: other routing keys come first.")


def _found(url: str | None, model: str | None, config: Path) -> str:
    """Where the server is, which is said unless it was given."""
    from serve_app.commands.target import find_target

    with errors_in_words():
        target = find_target(url, model, config)
    if url is None:
        typer.echo(target.said, err=True)
    return target.url


def _command(action: "CommandName", url: str, reason: str, by: str | None) -> None:
    from serve_app.commands import rollout_client as client
    from serve_app.commands.rollout_page import page
    from serve_app.commands.terminal import Terminal

    with errors_in_words(client.Unreachable):
        view = client.command(url, action, by or _login(), reason)
    Terminal(highlight=False).print(page(view))


def _first_view(url: str, console: "Console") -> "RolloutView":
    """The rollout as soon as there is one.

    Raises NoRolloutYet or CoordinatorAway when none has begun in time, and what else is wrong at
    once.
    """
    from serve_app.commands import rollout_client as client

    until_s = time.monotonic() + BEGIN_TIMEOUT_S
    is_told = False
    while True:
        try:
            return client.status(url)
        except (client.NoRolloutYet, client.CoordinatorAway):
            if time.monotonic() >= until_s:
                raise
        if not is_told:
            console.print("No rollout yet: waiting for the server to take the table.")
            is_told = True
        time.sleep(REFRESH_S)


def _watch(url: str, view: "RolloutView", console: "Console") -> "RolloutView":
    """Look again each second until it is over; the last view.

    A server that is away for a moment, as at an update, does not end it.
    """
    from rich.live import Live

    from serve_app.commands import rollout_client as client
    from serve_app.commands.rollout_page import page
    from serve_app.errors import SluiceError
    from serve_app.rollout.state import DONE

    try:
        with Live(page(view, fits=True), console=console, auto_refresh=False) as live:
            while view.status not in DONE:
                time.sleep(REFRESH_S)
                try:
                    view = client.status(url)
                except SluiceError as error:
                    view = view.model_copy(update={"trouble": str(error)})
                live.update(page(view, fits=True), refresh=True)
    except KeyboardInterrupt:
        pass
    return view


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # The user of a container may have no name.
        return "cli"
