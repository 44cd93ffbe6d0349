"""`sluice up`: `serve run` in the fast mode on this machine or in a container, with the URLs once it is ready."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from serve_app.errors import SettingsError
from serve_app.models import get_spec
from serve_app.serving.drain import DRAIN_FILE

READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.3
PORTS = range(20_000, 30_000)

# A prediction is idempotent: what died with a replica before it answered is asked again of another. HAProxy can repeat
# only what it has whole, and a client may send head and body apart: hence the second line, for which Ray has no
# variable of its own and which its template takes over from this one (docs/decisions/006).
RETRY_ON = "conn-failure empty-response\n    option http-buffer-request"


@dataclass(frozen=True)
class UpOptions:
    """How to serve: host and port in place of the file's, and how long readiness fails at SIGTERM before the end."""

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
    """Where the servers of a configuration will answer."""
    http = config.get("http_options", {})
    base = f"http://{_reachable(http.get('host', '127.0.0.1'))}:{http.get('port', 8000)}"
    return [
        Endpoint(app["args"]["model"], base + app.get("route_prefix", "/").rstrip("/"))
        for app in config.get("applications", [])
        if app.get("import_path") == "serve_app.app:server"
    ]


def fast_environment(folder: Path) -> dict[str, str]:
    """Ray's two flags for speed; HAProxy's files and ports kept apart from those of another Ray on this machine."""
    metrics_port, stats_port, fallback_port = _free_ports(3)
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # No load balancer in front has to notice that a replica goes, so it need not stay for the default 30 s.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
        "RAY_SERVE_HAPROXY_RETRY_ON": RETRY_ON,
        "RAY_worker_niceness": "0",  # Ray's default is 15: no room below for isolated versions (deployments.NICENESS)
        # What follows halved the CPU of a request (docs/performance.md).
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_app.http.edge:middlewares",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",  # the replicas count the same requests themselves
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",  # one answers 10,000 requests a second
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics_port),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats_port),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback_port),
    }


def run(path: Path, way: UpOptions, console: Console) -> int:
    """Start, wait until ready, say where, and stay until Ctrl-C or SIGTERM. Returns the exit code."""
    config = _moved(yaml.safe_load(path.read_text()), way)
    found = endpoints(config)
    _require_free_port(found)
    with tempfile.TemporaryDirectory(prefix="sluice-") as name:
        folder = Path(name)
        moved = folder / "serve_config.yaml"
        moved.write_text(yaml.safe_dump(config, sort_keys=False))
        with _serve(moved, folder, way) as process:
            try:
                console.print(f"starting {path} ({'fast' if way.fast else 'plain'} mode) …")
                if not _until_ready(found, process):
                    ended = process.poll() is not None
                    why = (
                        "`serve run` ended"
                        if ended
                        else f"not ready within {READY_TIMEOUT_S:.0f} s"
                    )
                    console.print(
                        f"{why}: see the lines above and the logs below /tmp/ray", style="red"
                    )
                    return 1
                _say_where(found, console)
                return process.wait()
            except _Terminated:
                _drain(folder, way.drain_s, console)
                return 0
            except KeyboardInterrupt:
                console.print("\nstopping …")
                return 0


def _moved(config: dict[str, Any], way: UpOptions) -> dict[str, Any]:
    """The configuration at another host or port."""
    wanted = {"host": way.host, "port": way.port}
    moved = {key: value for key, value in wanted.items() if value is not None}
    return (
        {**config, "http_options": {**config.get("http_options", {}), **moved}} if moved else config
    )


def _drain(folder: Path, drain_s: float, console: Console) -> None:
    """Readiness fails from now on; requests are answered until whoever sends them has noticed."""
    _drain_file(folder).touch()
    console.print(f"\ntold to end: not ready from now on, ending in {drain_s:g} s …")
    time.sleep(drain_s)


def _drain_file(folder: Path) -> Path:
    return folder / "draining"


@contextmanager
def _serve(path: Path, folder: Path, way: UpOptions) -> Iterator["subprocess.Popen[bytes]"]:
    # RAY_ADDRESS=local: never join a Ray that happens to run on this machine. A session of its own: Ctrl-C reaches
    # us alone, and we pass it on once.
    env = {**os.environ, "RAY_ADDRESS": "local", DRAIN_FILE: str(_drain_file(folder))}
    env |= fast_environment(folder) if way.fast else {}
    serve = Path(sys.executable).with_name("serve")
    # A shell that starts us in the background has SIGINT ignored, and what is ignored is inherited: Ray would never
    # hear that it shall end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, _terminate)
    process = subprocess.Popen([serve, "run", path], env=env, start_new_session=True)
    try:
        yield process
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(process)
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: it must not cut what it began
    raise _Terminated


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):  # a second Ctrl-C means: now
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
        body = json.dumps(spec.examples[0].row.model_dump())
        console.print(
            f"\n[bold]{spec.title}[/bold] is ready: {endpoint.url}/  (docs: {endpoint.url}/docs)"
        )
        curl = f"curl -s {endpoint.url}/v1/predict -H 'Content-Type: application/json' \\\n  -d '{body}'"
        console.print(curl, highlight=False, soft_wrap=True, markup=False)
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


def _free_ports(n: int) -> list[int]:
    """Ports that nobody listens on, out of the range from which the system gives ports to Ray's own sockets: between
    now and HAProxy's start one of those could take them."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == n:
            return found
    raise SettingsError(
        f"found {len(found)} free ports in {PORTS}, expected {n}: end what holds them"
    )
