"""`sluice ready`: whether every model that is served here answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.exit_codes import ExitCode, errors_in_words
from serve_app.commands.healthy import DEFAULT_PORT, NO_ANSWER, READY


def ready(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The file that is served; without one, what `sluice up` serves on the port."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="This model alone of the file.")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", envvar="SLUICE_HOST", help="In place of the file's.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", envvar="SLUICE_PORT", min=1, max=65_535, help="In place of the file's."
        ),
    ] = None,
) -> None:
    """Ask every model of the file whether it is ready, and say so of each.

    The image's HEALTHCHECK asks the same. Exit code 1: one is not ready; 2: nothing answers, or the
    file does not say whom to ask.
    """
    from serve_app.commands.healthy import statuses
    from serve_app.errors import SluiceError

    with errors_in_words(SluiceError):
        urls = served_urls(file, model, host, port)
    found = statuses(list(urls.values()))
    for line in told(urls, found):
        typer.echo(line)
    raise typer.Exit(code_of(found))


def served_urls(
    file: Path | None, model: str | None, host: str | None, port: int | None
) -> dict[str, str]:
    """Name → URL of each server that is asked. Raises SettingsError."""
    from serve_app.commands.healthy import read_note
    from serve_app.commands.target import CONFIG, alone, moved, read_config, servers_of
    from serve_app.errors import SettingsError

    if file is None and model is None:
        noted = read_note(port or DEFAULT_PORT)
        if noted:
            return noted
    path = file or CONFIG
    config = moved(read_config(path), host, port)
    if model is not None:
        config = alone(config, model, path)
    found = {one.application: one.url for one in servers_of(config)}
    if not found:
        raise SettingsError(f"{path}: applications: found no server, expected at least one")
    return found


def told(urls: Mapping[str, str], found: Sequence[int]) -> list[str]:
    """A line for each server."""
    return [
        f"{name}: {_word(status)} ({url}/ready)"
        for (name, url), status in zip(urls.items(), found, strict=True)
    ]


def _word(status: int) -> str:
    if status == READY:
        return "ready"
    if status == NO_ANSWER:
        return "no answer"
    return f"not ready, status {status}"


def code_of(found: Sequence[int]) -> ExitCode:
    """The exit code of these statuses."""
    if NO_ANSWER in found:
        return ExitCode.UNREADABLE
    is_ready = all(status == READY for status in found)
    return ExitCode.OK if is_ready else ExitCode.REFUSED
