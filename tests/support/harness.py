"""A real Ray cluster of a test's own: own ports, own folders, own token; it ends just what it
started.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import requests
from ports import PortBlock
from program import Program
from webhook import SECRET, SECRET_ENV

from serve_app.cluster.log_output import LOG_TO
from serve_app.commands.fast_mode import PLAIN_VARIABLES, SERVER_TIMEOUT, fast_environment

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TOKEN = "t" * 64
# On the path of a process it makes Ray Serve's imports smaller.
LEAN = ROOT / "tests/support/lean"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
Mode = Literal["plain", "fast"]

# How long a test waits for what must come. It costs nothing when things work, so it is made for a
# machine that has other things to do.
PATIENCE_S = 900.0
LONGEST_PAUSE_S = 0.5

# Ray must not take a process for dead that a busy machine keeps waiting.
PATIENT = {
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
}
# A cluster that waits costs CPU that its neighbours need.
FRUGAL = {
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
    "RAY_task_events_report_interval_ms": "0",
    # What cannot start for a reason is not tried three times.
    "RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT": "1",
}


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """The first true value of `condition`; raises AssertionError that says what was waited for."""
    until_s = time.monotonic() + timeout_s
    pause_s = 0.05
    last: Any = None
    while time.monotonic() < until_s:
        try:
            value = condition()
        except Exception as error:
            last = error
        else:
            if value:
                return value
        # Asking costs the cluster CPU that what is waited for needs.
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, LONGEST_PAUSE_S)
    raise AssertionError(f"not within {timeout_s:g} s: {what} (last: {last!r})")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Only one test process is in here. A Ray that starts next to others gives up after 30 s.

    The lock is on a folder, so that no file is left, and ends with the process.
    """
    turn = os.open(ROOT / "tests", os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turn)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder with a short path: Ray's socket paths must stay under 108 characters."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_environment(
    mode: Mode, folder: Path, ports: PortBlock, beside: Sequence[Path] = ()
) -> dict[str, str]:
    """Environment of a Ray that shares nothing with another one on this machine.

    What lies in the folders `beside` can be imported too.
    """
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("RAY_", "MODEL_PATH", "KEYS_PATH", "SLUICE_API_KEY", "MAKE"))
    }
    home = folder / "home"
    tmp = folder / "ray"
    home.mkdir()
    tmp.mkdir()
    folders = (LEAN, ROOT, ROOT / "tests/support", *beside, os.environ.get("PYTHONPATH", ""))
    env |= {
        "HOME": str(home),
        "RAY_TMPDIR": str(tmp),
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        **PATIENT,
        **FRUGAL,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, folders)).rstrip(os.pathsep),
        "PYTHONWARNINGS": "ignore",
        SECRET_ENV: SECRET,
        LOG_TO: str(_lines_of(folder)),
    }
    if mode == "plain":
        env |= PLAIN_VARIABLES
    if mode == "fast":
        first_http, last_http = ports.several(40)
        first_grpc, last_grpc = ports.several(40)
        env |= {
            **fast_environment(folder / "haproxy"),
            # Deadlines of the tests are long, for machines that are busy (stage.py).
            SERVER_TIMEOUT: "60",
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.one()),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.one()),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.one()),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first_http),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(last_http),
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(first_grpc),
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(last_grpc),
        }
    return env


def _lines_of(folder: Path) -> Path:
    """Where the processes of a cluster write what a container says on its standard output."""
    return folder / "lines.jsonl"


class Cluster:
    """One running Ray head with its Serve."""

    def __init__(self, mode: Mode, folder: Path, n_cpus: int, beside: Sequence[Path]) -> None:
        self.mode = mode
        self.folder = folder
        self._ports = PortBlock()
        self.env = own_environment(mode, folder, self._ports, beside)
        self.dashboard_port = self._ports.one()
        self.http_port = self._ports.one()
        self.metrics_port = self._ports.one()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self._api = f"http://127.0.0.1:{self.dashboard_port}/api/serve/applications/"
        self._log = folder / "ray.log"
        token = folder / "home" / ".ray" / "auth_token"
        token.parent.mkdir()
        token.write_text(TOKEN)
        self._program = Program(self._command(n_cpus), self._log, self.env, ROOT)

    def _command(self, n_cpus: int) -> list[Any]:
        options = {
            "port": self._ports.one(),
            "dashboard-host": "127.0.0.1",
            "dashboard-port": self.dashboard_port,
            "dashboard-agent-listen-port": self._ports.one(),
            "ray-client-server-port": self._ports.one(),
            "metrics-export-port": self.metrics_port,
            "node-ip-address": "127.0.0.1",
            "num-cpus": n_cpus,
            "object-store-memory": 100_000_000,
        }
        # A worker gets its port some time before it listens there: two clusters need two ranges.
        options["min-worker-port"], options["max-worker-port"] = self._ports.several(140)
        words = [f"--{name}={value}" for name, value in options.items()]
        # Two processes that would tell drivers what workers print, and an autoscaler the load.
        words += ["--include-log-monitor=false", "--no-monitor"]
        return [BIN / "ray", "start", "--head", "--block", *words]

    def until_up(self) -> None:
        """Wait for the dashboard; raises AssertionError with Ray's output when it ended instead."""

        def answers() -> bool:
            return self._program.code() is not None or self.applications() is not None

        wait_until(answers, f"dashboard of Ray, see {self._log}")
        assert self._program.code() is None, self._log.read_text()

    def applications(self) -> Any:
        """What Serve says of its applications."""
        return applications_at(self._api)

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration for this cluster's port."""
        return {**config, "http_options": {"host": "127.0.0.1", "port": self.http_port}}

    def serve(self, *words: Any) -> str:
        """Run the `serve` command as a user would, for instance `serve deploy FILE`; its output."""
        command = [BIN / "serve", *words, "-a", f"http://127.0.0.1:{self.dashboard_port}"]
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def deploy(self, config: Mapping[str, Any]) -> None:
        """Send what `serve deploy` sends, without the seconds that its own start takes."""
        body = self.config(config)
        answer = requests.put(self._api, json=body, headers=AUTHORIZED, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text

    def wait_for(self, status: str, *names: str) -> None:
        """Wait until these applications have this status."""
        seen: dict[str, Any] = {}

        def reached() -> bool:
            seen.update({name: self.applications().get(name, {}) for name in names})
            return all(found.get("status") == status for found in seen.values())

        try:
            wait_until(reached, f"{names} {status}")
        except AssertionError as error:
            states = {
                name: (found.get("status"), found.get("message")) for name, found in seen.items()
            }
            raise AssertionError(f"{error}: {states}") from None

    def replicas(self, application: str, deployment: str) -> list[dict[str, Any]]:
        """The running replicas of a deployment."""
        return running_replicas(self.applications(), application, deployment)

    def processes(self) -> dict[int, str]:
        """Process id and title of all that runs in the cluster."""
        return self._program.descendants()

    def logged(self) -> str:
        """What the processes of Serve have logged so far."""
        logs = self.folder.glob("ray/*/session_latest/logs/serve/*.log")
        return "".join(log.read_text(errors="replace") for log in logs)

    def lines(self) -> list[dict[str, Any]]:
        """What a container would have said on its standard output."""
        path = _lines_of(self.folder)
        return [json.loads(line) for line in path.read_text().splitlines()]

    def stop(self) -> None:
        """End every process of the cluster. (On SIGTERM Ray would drain for 30 s.)"""
        self._program.end()
        self._ports.close()


def applications_at(api: str) -> Any:
    """What Serve says of its applications, at this address of its dashboard."""
    answer = requests.get(api, headers=AUTHORIZED, timeout=10)
    answer.raise_for_status()
    return answer.json()["applications"]


def running_replicas(applications: Any, application: str, deployment: str) -> list[dict[str, Any]]:
    """The running replicas of a deployment, in what Serve says of its applications."""
    found = applications.get(application, {}).get("deployments", {}).get(deployment, {})
    return [replica for replica in found.get("replicas", []) if replica["state"] == "RUNNING"]


@contextmanager
def running_cluster(mode: Mode, n_cpus: int = 16, beside: Sequence[Path] = ()) -> Iterator[Cluster]:
    """A cluster for a `with` block. Ray may reserve these CPUs, and import from `beside` too."""
    with short_folder() as folder:
        cluster = _started(mode, folder, n_cpus, beside)
        try:
            yield cluster
        finally:
            cluster.stop()


def _started(mode: Mode, folder: Path, n_cpus: int, beside: Sequence[Path]) -> Cluster:
    """A cluster whose dashboard answers. Ray gives up a start by itself, so there are three."""

    def start(name: str) -> Cluster:
        own = folder / name
        own.mkdir()
        cluster = Cluster(mode, own, n_cpus, beside)
        try:
            cluster.until_up()
        except BaseException:
            cluster.stop()
            raise
        return cluster

    with one_at_a_time():
        for attempt in ("1", "2"):
            with suppress(AssertionError):
                return start(attempt)
        return start("3")
