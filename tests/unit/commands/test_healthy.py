"""The image's HEALTHCHECK, word for word, and `sluice ready`, against servers of every kind."""

import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from answering import QuietHandler, running
from certificate import certificate
from click.testing import Result
from typer.testing import CliRunner

from serve_app.commands.healthy import note_of, noted, read_note
from serve_app.commands.main import app

ROOT = Path(__file__).parents[3]


class Answering(ThreadingHTTPServer):
    """A server whose `/ready` has this status; so have those of its models, by prefix."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.models: dict[str, int] = {}
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.socket.getsockname()[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Plain HTTP on a port of TLS is what is tried here."""


class Handler(QuietHandler):
    """Says the server's status."""

    server: Answering

    def respond(self) -> None:
        """Answer."""
        statuses = {"": self.server.status, **self.server.models}
        prefix, _, last = self.path.rpartition("/")
        self.answer(statuses.get(prefix, 404) if last == "ready" else 404)


def code_of(port: int, home: Path) -> int:
    """The exit code of the command in the Dockerfile, asked by a user with this home."""
    text = (ROOT / "Dockerfile").read_text()
    [command] = re.findall(r"HEALTHCHECK --\S.*?CMD (\[.*?\])", text, re.DOTALL)
    words = json.loads(command)
    assert words[0] == "python"
    env = {**os.environ, "SLUICE_PORT": str(port), "HOME": str(home)}
    return subprocess.run(
        [sys.executable, *words[1:]], cwd=ROOT, env=env, check=False, timeout=300
    ).returncode


@pytest.fixture(params=["plain", "tls"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Answering]:
    """A server that is ready, and speaks TLS or not."""
    made = Answering(200)
    if request.param == "tls":
        tls = certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certfile, tls.keyfile)
        made.socket = context.wrap_socket(made.socket, server_side=True)
    with running(made):
        yield made


def test_a_container_is_healthy_when_its_server_is_ready(server: Answering, tmp_path: Path) -> None:
    """With `--certfile` too, whose certificate names another host than the loopback."""
    assert code_of(server.port, tmp_path) == 0
    server.status = 503
    assert code_of(server.port, tmp_path) == 1
    server.status = 404
    assert code_of(server.port, tmp_path) == 1


def test_a_container_in_which_nothing_answers_is_not_healthy(
    server: Answering, tmp_path: Path
) -> None:
    """While it starts, and when HAProxy is dead."""
    port = server.port
    server.server_close()
    assert code_of(port, tmp_path) == 1


def test_a_dead_second_model_makes_a_container_unhealthy(
    server: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model at the root answers, and the other one of the file does not."""
    monkeypatch.setenv("HOME", str(tmp_path))
    base = f"http://127.0.0.1:{server.port}"
    with noted(server.port, {"churn": base, "delivery_time": f"{base}/delivery-time"}):
        server.models["/delivery-time"] = 503
        assert code_of(server.port, tmp_path) == 1
        server.models["/delivery-time"] = 200
        assert code_of(server.port, tmp_path) == 0


def test_a_container_with_one_model_that_is_not_at_the_root_is_healthy(
    server: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `--model delivery_time`: nothing answers at the root, and nothing has to."""
    monkeypatch.setenv("HOME", str(tmp_path))
    server.status = 404
    server.models["/delivery-time"] = 200
    url = f"http://127.0.0.1:{server.port}/delivery-time"
    with noted(server.port, {"delivery_time": url}):
        assert code_of(server.port, tmp_path) == 0
    assert not note_of(server.port).exists(), "the note goes with the server"


def test_ready_asks_each_model_of_a_file_and_says_how_each_is(
    server: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ready: 0. One not: 1. Nobody answers, or no file: 2."""
    monkeypatch.setenv("HOME", str(tmp_path))
    server.models["/delivery-time"] = 503
    port = str(server.port)
    file = str(ROOT / "serve_config.yaml")

    def ready(*words: str) -> Result:
        return CliRunner().invoke(app, ["ready", *words, "--port", port])

    found = ready(file)
    assert found.exit_code == 1
    assert f"churn: ready (http://127.0.0.1:{port}/ready)" in found.stdout
    assert "delivery_time: not ready, status 503" in found.stdout
    assert ready(file, "--model", "churn").exit_code == 0
    server.models["/delivery-time"] = 200
    assert ready(file).exit_code == 0
    assert ready(str(tmp_path / "none.yaml")).exit_code == 2
    server.server_close()
    found = ready(file)
    assert (found.exit_code, found.stdout.count("no answer")) == (2, 2)


def test_ready_without_a_file_asks_what_up_serves_on_the_port(
    server: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever file, model, address or certificate that was called with."""
    monkeypatch.setenv("HOME", str(tmp_path))
    server.models["/loan"] = 200
    with noted(server.port, {"loan": f"http://127.0.0.1:{server.port}/loan"}):
        found = CliRunner().invoke(app, ["ready", "--port", str(server.port)])
    assert found.exit_code == 0
    assert found.stdout.startswith("loan: ready")


def test_a_note_that_cannot_be_written_keeps_nobody_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that is no folder, as in a container with another user."""
    home = tmp_path / "home"
    home.touch()
    monkeypatch.setenv("HOME", str(home))
    with noted(1, {"churn": "http://127.0.0.1:1"}):
        assert read_note(1) == {}
