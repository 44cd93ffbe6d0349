"""What `sluice up` says when all is ready; a program stands for `serve run`."""

import io
import json
import sys
from pathlib import Path

import pytest
import yaml
from ports import PortBlock
from rich.console import Console

from serve_app.commands import serve_run
from serve_app.commands.serve_run import UpOptions, run

# It is ready at once, and ends by itself when it has been asked.
LAUNCHER = """
import pathlib, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
import yaml

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

[note] = (pathlib.Path.home() / ".sluice").iterdir()
pathlib.Path(__file__).with_name("note.json").write_text(note.read_text())
http_options = yaml.safe_load(pathlib.Path(sys.argv[2]).read_text())["http_options"]
server = HTTPServer((http_options["host"], http_options["port"]), Handler)
for _ in range(2):
    server.handle_request()
"""


def test_where_it_answers_is_said_and_docs_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to a page that was switched off leads to a 404."""
    monkeypatch.setattr(serve_run, "STAY_POLL_S", 0.05)
    monkeypatch.setenv("HOME", str(tmp_path))
    ports = PortBlock()
    port = ports.one()
    applications = [
        {
            "name": model,
            "route_prefix": prefix,
            "import_path": "serve_app.app:server",
            "args": {"model": model, **more},
        }
        for model, prefix, more in (
            ("churn", "/", {"docs": False}),
            ("delivery_time", "/delivery-time", {}),
        )
    ]
    http_options = {"host": "127.0.0.1", "port": port}
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump({"http_options": http_options, "applications": applications}))
    script = tmp_path / "launcher.py"
    script.write_text(LAUNCHER)
    said = io.StringIO()
    console = Console(file=said, highlight=False, soft_wrap=True)
    assert run(path, UpOptions(fast=False), console, (sys.executable, str(script))) == 0
    ports.close()
    url = f"http://127.0.0.1:{port}"
    assert f"is ready: {url}/\n" in said.getvalue()
    assert f"is ready: {url}/delivery-time/  (docs: {url}/delivery-time/docs)" in said.getvalue()
    assert f"curl -s {url}/v1/predict" in said.getvalue()
    noted = json.loads((tmp_path / "note.json").read_text())
    assert noted == {"churn": url, "delivery_time": f"{url}/delivery-time"}, "for `sluice ready`"
    assert list((tmp_path / ".sluice").iterdir()) == [], "nobody asks a server that has ended"
