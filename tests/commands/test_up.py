"""`sluice up` before anything starts: what keeps a file, or one model of it, from being served."""

import json
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keyring import write_keys
from typer.testing import CliRunner

from serve_app.bundle.store import FolderStore
from serve_app.commands.main import app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    from serve_app.commands.check import report  # noqa: F401


def server(model: str, prefix: str, store: str) -> dict[str, Any]:
    """The application of a model."""
    return {
        "name": model,
        "route_prefix": prefix,
        "import_path": "serve_app.app:server",
        "args": {"model": model, "store": store},
        "deployments": [{"name": "Server", "user_config": {"stable": "1.0.0"}}],
    }


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port on which somebody listens: nothing is started there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def config(
    tmp_path: Path,
    trained_store: FolderStore,
    busy_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Two models; the bundle of the second one is gone."""
    for name in ("MODEL_PATH", "KEYS_PATH", "SLUICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    applications = [
        server("churn", "/", trained_store.uri),
        server("delivery_time", "/delivery-time", str(tmp_path / "empty")),
    ]
    path = tmp_path / "serve_config.yaml"
    values = {
        "http_options": {"host": "127.0.0.1", "port": busy_port},
        "applications": applications,
    }
    path.write_text(json.dumps(values))
    return path


def up(*words: Any) -> tuple[int, str]:
    """The exit code, and all that was said as one line."""
    found = CliRunner().invoke(app, ["up", *map(str, words)])
    return found.exit_code, found.output.replace("\n", " ")


def test_a_model_alone_is_not_kept_by_the_faults_of_another(config: Path) -> None:
    """It gets as far as the port, where somebody else listens."""
    code, said = up(config, "--model", "churn")
    assert code == 1
    assert "in use by another program" in said
    assert "delivery_time" not in said


@pytest.mark.parametrize("words", [[], ["--model", "delivery_time"]])
def test_a_fault_of_what_is_served_is_said_before_anything_starts(
    config: Path, words: list[str]
) -> None:
    """With its line, as `sluice check` says it."""
    code, said = up(config, *words)
    assert code == 1
    assert "delivery_time/1.0.0/manifest.json: not found" in said
    assert "in use" not in said


def test_a_model_that_the_file_does_not_serve_is_a_sentence(config: Path) -> None:
    """It says what was expected in its place, and nothing is started."""
    code, said = up(config, "--model", "chrun")
    assert code == 1
    assert "--model: found chrun, expected one that" in said


def test_other_machines_are_let_in_only_with_keys_or_when_disabled_is_written_out(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the host of the command line, as in an image; a broken key file is refused as early."""
    elsewhere = (config, "--model", "churn", "--host", "0.0.0.0")
    code, said = up(*elsewhere)
    assert code == 1
    assert "churn: args.auth: missing, and http_options.host is 0.0.0.0: expected `auth`" in said
    monkeypatch.setenv("KEYS_PATH", str(tmp_path / "keys.yaml"))
    code, said = up(*elsewhere)
    assert code == 1
    assert "keys.yaml: cannot be read (No such file or directory)" in said
    monkeypatch.setenv("KEYS_PATH", "disabled")
    assert "in use by another program" in up(*elsewhere)[1]
    write_keys(tmp_path / "keys.yaml")
    monkeypatch.setenv("KEYS_PATH", str(tmp_path / "keys.yaml"))
    assert "in use by another program" in up(*elsewhere)[1]


@pytest.mark.parametrize("http_options", [{"host": "0.0.0.0"}, {"port": 8000}, {}])
def test_a_host_in_the_file_is_held_to_the_same(config: Path, http_options: dict[str, Any]) -> None:
    """Here it is the check of the file that says so; without a host Ray listens everywhere."""
    values = json.loads(config.read_text())
    values["http_options"] = http_options
    config.write_text(json.dumps(values))
    code, said = up(config, "--model", "churn")
    assert code == 1
    assert "applications[churn].args.auth: missing, and http_options.host is 0.0.0.0" in said
