"""What `sluice up` does: `serve run` on this machine or in a container.

It says where the servers answer once they are ready, and ends Ray at Ctrl-C or SIGTERM.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from serve_app.commands.exit_codes import ExitCode, say_error
from serve_app.commands.fast_mode import fast_environment
from serve_app.errors import SettingsError
from serve_app.models import get_spec
from serve_app.serving.drain import DRAIN_FILE

READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.3


@dataclass(frozen=True)
class UpOptions:
    """How to serve.

    `host` and `port` replace the file's; `drain_s` is how long readiness fails at SIGTERM before
    the end.
    """

    fast: bool = True
    host: str | None = None
    port: int | None = None
    drain_s: float = 0.0


class _Terminated(Exception):
    """SIGTERM came."""


@dataclass(frozen=True)
class Endpoint:
    """A server's URL and its model."""

    model: str
    url: str


def endpoints(config: Mapping[str, Any]) -> list[Endpoint]:
    """List where the servers of a configuration will answer."""
    http = config.get("http_options", {})
    base = f"http://{_reachable(http.get('host', '127.0.0.1'))}:{http.get('port', 8000)}"
    return [
        Endpoint(app["args"]["model"], base + app.get("route_prefix", "/").rstrip("/"))
        for app in config.get("applications", [])
        if app.get("import_path") == "serve_app.app:server"
    ]


def run(path: Path, options: UpOptions, console: Console) -> int:
    """Start, wait until ready, say where, and stay until Ctrl-C or SIGTERM. Returns the exit code.

    Raises SettingsError when there is no server in the file, or its port is taken.
    """
    config = _moved(yaml.safe_load(path.read_text()), options)
    found = endpoints(config)
    _require_free_port(found)
    with tempfile.TemporaryDirectory(prefix="sluice-") as name:
        folder = Path(name)
        moved = folder / "serve_config.yaml"
        moved.write_text(yaml.safe_dump(config, sort_keys=False))
        with _serve(moved, folder, options) as process:
            try:
                console.print(f"starting {path} ({'fast' if options.fast else 'plain'} mode) …")
                if not _until_ready(found, process):
                    say_error(
                        f"{_why_not_ready(process)}: see the lines above and the logs below "
                        "/tmp/ray"
                    )
                    return ExitCode.REFUSED
                _say_where(found, console)
                return process.wait()
            except _Terminated:
                _drain(folder, options.drain_s, console)
                return ExitCode.OK
            except KeyboardInterrupt:
                console.print("\nstopping …")
                return ExitCode.OK


def _moved(config: dict[str, Any], options: UpOptions) -> dict[str, Any]:
    """The configuration at another host or port."""
    http_options = dict(config.get("http_options", {}))
    if options.host is not None:
        http_options["host"] = options.host
    if options.port is not None:
        http_options["port"] = options.port
    return {**config, "http_options": http_options}


def _why_not_ready(process: "subprocess.Popen[bytes]") -> str:
    if process.poll() is not None:
        return "`serve run` ended"
    return f"not ready within {READY_TIMEOUT_S:.0f} s"


def _drain(folder: Path, drain_s: float, console: Console) -> None:
    """Readiness fails from now on; requests are answered until whoever sends them has noticed."""
    _drain_file(folder).touch()
    console.print(f"\ntold to end: not ready from now on, ending in {drain_s:g} s …")
    time.sleep(drain_s)


def _drain_file(folder: Path) -> Path:
    return folder / "draining"


@contextmanager
def _serve(path: Path, folder: Path, options: UpOptions) -> Iterator["subprocess.Popen[bytes]"]:
    # RAY_ADDRESS=local: never join a Ray that happens to run on this machine.
    env = {**os.environ, "RAY_ADDRESS": "local", DRAIN_FILE: str(_drain_file(folder))}
    if options.fast:
        env |= fast_environment(folder)
    serve = Path(sys.executable).with_name("serve")
    # A shell that starts us in the background has SIGINT ignored, and what is ignored is
    # inherited: Ray would never hear that it must end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, _terminate)
    # In a session of its own, so that Ctrl-C reaches us alone, and we pass it on once.
    process = subprocess.Popen([serve, "run", path], env=env, start_new_session=True)
    try:
        yield process
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(process)
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    # Once is enough: a second SIGTERM must not cut short what the first one began.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        # A second Ctrl-C means: now.
        os.killpg(process.pid, signal.SIGKILL)


def _until_ready(found: list[Endpoint], process: "subprocess.Popen[bytes]") -> bool:
    until_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < until_s and process.poll() is None:
        if all(_answers(endpoint.url + "/ready") for endpoint in found):
            return True
        time.sleep(POLL_S)
    return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _say_where(found: list[Endpoint], console: Console) -> None:
    for endpoint in found:
        spec = get_spec(endpoint.model)
        console.print(
            f"\n[bold]{spec.title}[/bold] is ready: {endpoint.url}/  (docs: {endpoint.url}/docs)"
        )
        if not spec.examples:
            continue
        body = json.dumps(spec.examples[0].row.model_dump(mode="json"))
        curl = f"curl -s {endpoint.url}/v1/predict -H 'Content-Type: application/json'"
        console.print(f"{curl} \\\n  -d '{body}'", highlight=False, soft_wrap=True, markup=False)
    console.print("\nCtrl-C ends it.")


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def _require_free_port(found: list[Endpoint]) -> None:
    if not found:
        raise SettingsError("applications: found no serve_app.app:server, expected at least one")
    host, _, port = found[0].url.removeprefix("http://").partition("/")[0].partition(":")
    with socket.socket() as probe:
        if probe.connect_ex((host, int(port))) == 0:
            raise SettingsError(
                f"http_options.port: {host}:{port} is in use by another program; "
                "end that one, or write another port into the file"
            )
