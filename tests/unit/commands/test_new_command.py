"""`sluice new` and `retrain` hand their words to training, and say what to install where it is
missing.
"""

import importlib.util
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from serve_app.commands import new as module
from serve_app.commands.main import app


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were started; each of them ends with exit code 1."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(module.subprocess, "run", run)
    return commands


def test_words_and_exit_code_are_those_of_training(started: list[list[str]]) -> None:
    """Options too, and its own help."""
    words = ["telco", "--data", "Telco.csv", "--target", "Churn", "--help"]
    assert CliRunner().invoke(app, ["new", *words]).exit_code == 1
    assert started == [[sys.executable, "-m", "training", "new", *words]]


def test_retrain_is_handed_on_in_the_same_way(started: list[list[str]]) -> None:
    """With its exit code, by which a job knows that the data is at fault."""
    words = ["churn", "--labels", "labels.csv", "--if-needed"]
    assert CliRunner().invoke(app, ["retrain", *words]).exit_code == 1
    assert started == [[sys.executable, "-m", "training", "retrain", *words]]
    named = ["retrain", "--model", words[0], *words[1:]]
    assert CliRunner().invoke(app, named).exit_code == 1
    assert started[1] == started[0], "the model is a word, or an option as of other commands"


def test_where_models_are_only_served_it_says_what_to_install(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with the file of requirements; nothing is started."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "skl2onnx" else find(name)
    )
    result = CliRunner().invoke(app, ["new", "telco"])
    assert result.exit_code == 1
    assert "found no skl2onnx" in result.stderr
    assert "requirements/train.txt" in result.stderr
    assert not started
