"""The table of exit codes, and the one way in which a command says an error."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from serve_app.commands.exit_codes import ExitCode, errors_in_words
from serve_app.commands.main import app
from serve_app.errors import BundleError, SettingsError, StoreAway

# What each command can end with besides 0; a group stands for its commands without more to say.
EXPECTED = {
    "check": {1},
    "manifests": {1},
    "diff": {1, 2, 4, 5, 6, 7},
    "score": {1, 2},
    "drift": {1, 2},
    "monitor": {1, 2, 10, 20},
    "retrain": {1, 2, 20},
    "label": {1, 2},
    "replay": {1, 2, 5, 6, 7},
    "report": {1, 2},
    "why": {1, 2},
    "log": {1, 2},
    "log query": {1, 2},
    "log export": {1, 2},
    "new": {1, 2},
    "up": {1},
    "ready": {1, 2},
    "env": {1},
    "size": {1},
    "push": {1},
    "versions": {1},
    "keygen": {1},
    "sign": {1},
    "keys": {1},
    "rollout": {1, 2},
    "rollout status": {1, 2, 3},
}


def commands_of(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its whole name."""
    for name, command in group.commands.items():
        yield f"{prefix}{name}", command
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{prefix}{name} ")


def codes_in(text: str) -> set[int]:
    """The codes that a help text tells of: `Exit code 1: …; 2: …`."""
    _, found, said = text.partition("Exit code")
    return {int(code) for code in re.findall(r"(\d+):", said)} if found else set()


def test_the_help_of_each_command_says_its_exit_codes_and_they_are_in_the_table() -> None:
    """What a script may rely on is read in the help: no code is missing, none is out of date."""
    group = typer.main.get_command(app)
    texts = {name: command.help or "" for name, command in commands_of(group)}
    said = {name: codes_in(text) for name, text in texts.items() if codes_in(text)}
    assert said == EXPECTED
    silent = {name for name in texts if name not in said}
    assert all(name.startswith(("rollout ", "keys ")) for name in silent), "their group tells them"
    of_programs = {ExitCode.OK, ExitCode.INTERRUPTED}
    assert set().union(*said.values()) | of_programs == set(ExitCode)


def test_the_codes_that_scripts_know_stay_as_they_are() -> None:
    """A pipeline compares numbers: a new meaning gets a new number."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "REFUSED": 1,
        "UNREADABLE": 2,
        "CANDIDATE_OUT": 3,
        "WORSE": 4,
        "FLIPS": 5,
        "SHIFTED": 6,
        "SLOWER": 7,
        "RETRAIN": 10,
        "DATA_FAULT": 20,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("[red]a[/] 1: found x, expected y"), 1),
        (BundleError("b"), 2),
        (StoreAway("a kind of BundleError"), 2),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_its_code(error: Exception, code: int) -> None:
    """It is said as it was written: without markup, without a traceback, and not on stdout."""
    small = typer.Typer()

    @small.command()
    def fail() -> None:
        with errors_in_words(BundleError):
            raise error

    result = CliRunner().invoke(small)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"{error}\n")


def test_a_defect_of_ours_is_no_sentence_of_a_user() -> None:
    """A KeyError is a bug: it passes through with its traceback."""
    with pytest.raises(KeyError), errors_in_words():
        raise KeyError("bug")
