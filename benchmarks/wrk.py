"""Ceilings with wrk: a closed loop of connections, as fast as the server answers."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.errors import BenchmarkError

SCRIPT = Path(__file__).with_name("post.lua")
TIMED = Path(__file__).with_name("timed.lua")
ANSWER_TIMEOUT_S = 15


@dataclass(frozen=True)
class Ceiling:
    """What wrk saw."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    status_errors: int
    socket_errors: int
    timeouts: int

    @property
    def errors(self) -> int:
        """Requests that got no 2xx or 3xx."""
        return self.status_errors + self.socket_errors + self.timeouts


@dataclass(frozen=True)
class Sample:
    """How a few connections were answered, one request at a time.

    `p99_ms` is of those that were accepted: a refusal is quick, and says nothing of them.
    """

    accepted: int
    refused: int
    others: int
    p99_ms: float


def require_wrk() -> None:
    """Raise BenchmarkError with what to install, where wrk is missing."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("found no wrk, which measures the ceilings: apt-get install wrk")


def measure(
    url: str, bodies: Sequence[bytes], headers: Mapping[str, str], connections: int, seconds: float
) -> Ceiling:
    """Load `url` for so long. Raises BenchmarkError when wrk itself fails."""
    return Ceiling(**_run(SCRIPT, url, bodies, headers, (1, connections), seconds))


def sample(
    url: str, bodies: Sequence[bytes], headers: Mapping[str, str], connections: int, seconds: float
) -> Sample:
    """Time the answers by their status, for so long. Raises BenchmarkError when wrk itself fails.

    Each connection has a thread of wrk's, which is little next to a load.
    """
    return Sample(**_run(TIMED, url, bodies, headers, (connections, connections), seconds))


def _run(
    script: Path,
    url: str,
    bodies: Sequence[bytes],
    headers: Mapping[str, str],
    threads_and_connections: tuple[int, int],
    seconds: float,
) -> dict[str, Any]:
    threads, connections = threads_and_connections
    with TemporaryDirectory(prefix="slb-wrk-") as folder:
        for i, body in enumerate(bodies):
            (Path(folder) / f"{i}.json").write_bytes(body)
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        command += [f"--timeout={ANSWER_TIMEOUT_S}s", "-s", str(script), url]
        command += ["--", folder, str(len(bodies))]
        command += [f"{name}={value}" for name, value in headers.items()]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + 60
        )
    line = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("{")), None)
    if done.returncode != 0 or line is None:
        raise BenchmarkError(f"wrk failed on {url}: {(done.stderr or done.stdout).strip()[-400:]}")
    found: dict[str, Any] = json.loads(line.replace("nan", "0"))
    return found
