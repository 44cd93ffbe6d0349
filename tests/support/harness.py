"""A real Ray cluster of one's own: own ports, own folders, own token; it ends just what it started."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import requests

from serve_app.commands.fast_mode import fast_environment

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
Mode = Literal["plain", "fast"]


_next_port = itertools.count(20_000 + (os.getpid() * 37) % 9_000)


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on, between Ray's own ranges for workers (below) and replicas (above)."""
    found: list[int] = []
    while len(found) < n:
        port = 20_000 + next(_next_port) % 9_900
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """The first true value of `condition`, or a failure that says what was waited for."""
    until_s = time.monotonic() + timeout_s
    last: Any = None
    while time.monotonic() < until_s:
        try:
            if value := condition():
                return value
        except Exception as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s} s: {what} (last: {last!r})")


def own_environment(mode: Mode, folder: Path, project: Path = ROOT) -> dict[str, str]:
    """Environment of a Ray that shares nothing with another one on this machine."""
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("RAY_", "MODEL_PATH"))
    }
    home, tmp = folder / "home", folder / "ray"
    home.mkdir()
    tmp.mkdir()
    first_port = 30_000 + free_ports(1)[0] % 100 * 100
    env |= {
        "HOME": str(home),
        "RAY_TMPDIR": str(tmp),
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(project), str(ROOT / "tests/support"), os.environ.get("PYTHONPATH", "")]
        ).rstrip(os.pathsep),
        "PYTHONWARNINGS": "ignore",
    }
    if mode == "fast":
        env |= {
            **fast_environment(folder / "haproxy"),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first_port),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first_port + 99),
        }
    return env


class Cluster:
    """One running Ray head with its Serve."""

    def __init__(self, mode: Mode, folder: Path, n_cpus: int, project: Path) -> None:
        self.mode, self.folder = mode, folder
        self.env = own_environment(mode, folder, project)
        gcs, self.dashboard_port, self.http_port, client, self.metrics_port = free_ports(5)
        self._log = (folder / "ray.log").open("wb")
        token = folder / "home" / ".ray" / "auth_token"
        token.parent.mkdir()
        token.write_text("t" * 64)
        self.process = subprocess.Popen(
            [
                *(
                    BIN / "ray",
                    "start",
                    "--head",
                    "--block",
                    f"--port={gcs}",
                    f"--num-cpus={n_cpus}",
                ),
                *(f"--dashboard-port={self.dashboard_port}", "--dashboard-host=127.0.0.1"),
                *(f"--ray-client-server-port={client}", "--object-store-memory=100000000"),
                *("--node-ip-address=127.0.0.1", f"--metrics-export-port={self.metrics_port}"),
            ],
            env=self.env,
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.url = f"http://127.0.0.1:{self.http_port}"
        self._api = f"http://127.0.0.1:{self.dashboard_port}/api/serve/applications/"
        self._headers = {"Authorization": "Bearer " + "t" * 64}
        wait_until(self._dashboard_answers, 60, f"dashboard of Ray, see {folder / 'ray.log'}")

    def _dashboard_answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "ray.log").read_text()
        return self.applications() is not None

    def applications(self) -> Any:
        """What Serve says of its applications."""
        answer = requests.get(self._api, headers=self._headers, timeout=10)
        answer.raise_for_status()
        return answer.json()["applications"]

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration for this cluster's port."""
        return {**config, "http_options": {"host": "127.0.0.1", "port": self.http_port}}

    def serve(self, *words: Any) -> str:
        """The `serve` command as a user would call it, for instance `serve deploy FILE`; its output."""
        command = [BIN / "serve", *words, "-a", f"http://127.0.0.1:{self.dashboard_port}"]
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def deploy(self, config: Mapping[str, Any]) -> None:
        """What `serve deploy` sends, without the seconds that its own start takes."""
        answer = requests.put(
            self._api, json=self.config(config), headers=self._headers, timeout=60
        )
        assert answer.status_code == 200, answer.text

    def wait_for(self, status: str, *names: str, timeout_s: float = 60) -> None:
        """Until these applications have this status."""

        seen: dict[str, Any] = {}

        def reached() -> bool:
            seen.update({name: self.applications().get(name, {}) for name in names})
            return all(found.get("status") == status for found in seen.values())

        try:
            wait_until(reached, timeout_s, f"{names} {status}")
        except AssertionError as error:
            states = {
                name: (found.get("status"), found.get("message")) for name, found in seen.items()
            }
            raise AssertionError(f"{error}: {states}") from None

    def replicas(self, application: str, deployment: str) -> list[dict[str, Any]]:
        """The running replicas of a deployment."""
        found = self.applications().get(application, {}).get("deployments", {}).get(deployment, {})
        return [replica for replica in found.get("replicas", []) if replica["state"] == "RUNNING"]

    def stop(self) -> None:
        """End every process of the session that this cluster opened. (On SIGTERM Ray would drain for 30 s.)"""
        end_session(self.process)
        self._log.close()


def end_session(process: "subprocess.Popen[Any]") -> None:
    """Kill the processes whose session `process` leads, by id: whatever it started, and nothing else."""
    while members := _members(process.pid):  # again, since one may have started another meanwhile
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        time.sleep(0.1)
    process.wait(10)


def _members(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


@contextmanager
def running_cluster(mode: Mode, n_cpus: int = 16, project: Path = ROOT) -> Iterator[Cluster]:
    """A cluster for a `with` block, with the code of `project`. The CPUs are what Ray may reserve."""
    folder = Path(
        tempfile.mkdtemp(prefix="sl-")
    )  # short: Ray's socket paths must stay under 108 characters
    cluster = Cluster(mode, folder, n_cpus, project)
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
