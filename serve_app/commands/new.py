"""`sluice new`: from a CSV file to a trained model. `python -m training new` does the work."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from serve_app.commands.exit_codes import ExitCode, say_error

# What training imports and serving does not need.
NEEDED = ("sklearn", "pandas", "skl2onnx", "onnx", "joblib", "matplotlib", "jinja2")
ANY_OPTION = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def new(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME --data FILE.csv --target COLUMN ...", help="See --help."),
    ] = None,
) -> None:
    """Make a model of a CSV file: contract, training, version 1.0.0, its place in the YAML.

    `sluice new telco --data Telco.csv --target Churn`. Exit code 1: refused, with the reason; 2: a
    wrong command line.
    """
    hand_to_training("new", words or [])


def hand_to_training(command: str, words: Sequence[str]) -> NoReturn:
    """Run `python -m training COMMAND WORDS`, and end as it ends; in words where it cannot run."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if importlib.util.find_spec("training") is None:
        missing.append("training")
    if missing:
        say_error(
            f"sluice {command}: found no {', '.join(missing)} here, where models are only served; "
            "expected what requirements/train.txt lists: "
            "pip install --require-hashes -r requirements/train.txt"
        )
        raise typer.Exit(ExitCode.REFUSED)
    line = [sys.executable, "-m", "training", command, *words]
    raise typer.Exit(subprocess.run(line, env=dict(os.environ), check=False).returncode)
