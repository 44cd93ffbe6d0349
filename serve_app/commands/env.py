"""`sluice env`: the variables of the fast mode (`fast_mode`), for the nodes of a cluster."""

import json
import os
import shlex
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words


class Reader(StrEnum):
    """Who reads the lines."""

    SHELL = "shell"
    DOTENV = "dotenv"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


def env(
    reader: Annotated[
        Reader,
        typer.Option(
            "--format",
            help="Lines for `eval`; for a .env file, as Compose reads it; for "
            "`docker run --env-file`; or the list `env` of a container on Kubernetes.",
        ),
    ] = Reader.SHELL,
) -> None:
    """Print the variables of the fast mode, which every node of a cluster needs before Ray starts.

    On a machine, and in a container of the image: `eval "$(sluice env)"`, then `ray start`. From
    outside a container: `--env-file`. Exit code 1: `--format docker` in a shell that has not been
    through that `eval`.
    """
    from serve_app.commands.fast_mode import VARIABLES

    with errors_in_words():
        if reader is Reader.SHELL:
            lines = shell_lines(VARIABLES)
        elif reader is Reader.DOTENV:
            lines = dotenv_lines(VARIABLES)
        elif reader is Reader.KUBERNETES:
            lines = kubernetes_lines(VARIABLES)
        else:
            lines = docker_lines(VARIABLES, os.environ)
        typer.echo("\n".join(lines))


def shell_lines(variables: Mapping[str, str]) -> list[str]:
    """`export` lines for `eval` in any POSIX shell; a value may have line breaks."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def dotenv_lines(variables: Mapping[str, str]) -> list[str]:
    r"""Lines of a .env file, for `env_file` of Compose and for libraries that read one.

    In double quotes these read `\n` as a line break. `docker run --env-file` knows no quotes: that
    is another format.
    """
    return [f"{name}={_quoted(value)}" for name, value in variables.items()]


def kubernetes_lines(variables: Mapping[str, str]) -> list[str]:
    """Entries of the list `env` of a container, in YAML."""
    return [f"- {{name: {name}, value: {_quoted(value)}}}" for name, value in variables.items()]


def _quoted(value: str) -> str:
    """In double quotes with escapes as JSON has them, which YAML and .env files read alike.

    Raises ValueError for a value in which a reader of .env files would put a variable.
    """
    if "$" in value:
        raise ValueError(f"found {value}, expected no $: Compose would read a variable")
    return json.dumps(value)


def docker_lines(variables: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """Lines for `docker run --env-file`.

    Such a file cannot hold a line break. A line with a name alone makes Docker (and podman) take
    the value from the environment in which it is called, so a value of several lines has to be
    there. Raises SettingsError when it is not.
    """
    from serve_app.errors import SettingsError

    lines = []
    for name, value in variables.items():
        if "\n" not in value:
            lines.append(f"{name}={value}")
        elif environment.get(name) == value:
            lines.append(name)
        else:
            state = "another value" if name in environment else "no value"
            raise SettingsError(
                f"{name}: found {state} in this shell, expected the fast mode's, which has line "
                f'breaks that an env-file cannot hold; call eval "$(sluice env)" first, in the '
                "shell that calls docker"
            )
    return lines
