"""The image's HEALTHCHECK, word for word, against servers of every kind."""

import json
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from certificate import certificate

ROOT = Path(__file__).parents[3]


class Answering(ThreadingHTTPServer):
    """A server whose `/ready` has this status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.socket.getsockname()[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Plain HTTP on a port of TLS is what is tried here."""


class Handler(BaseHTTPRequestHandler):
    """Says the server's status."""

    server: Answering

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(self.server.status if self.path == "/ready" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def code_of(port: int) -> int:
    """The exit code of the command in the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text()
    [command] = re.findall(r"HEALTHCHECK --\S.*?CMD (\[.*?\])", text, re.DOTALL)
    words = json.loads(command)
    assert words[0] == "python"
    env = {**os.environ, "SLUICE_PORT": str(port)}
    return subprocess.run(
        [sys.executable, *words[1:]], cwd=ROOT, env=env, check=False, timeout=60
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
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_container_is_healthy_when_its_server_is_ready(server: Answering) -> None:
    """With `--certfile` too, whose certificate names another host than the loopback."""
    assert code_of(server.port) == 0
    server.status = 503
    assert code_of(server.port) == 1
    server.status = 404
    assert code_of(server.port) == 1


def test_a_container_in_which_nothing_answers_is_not_healthy(server: Answering) -> None:
    """While it starts, and when HAProxy is dead."""
    port = server.port
    server.server_close()
    assert code_of(port) == 1
