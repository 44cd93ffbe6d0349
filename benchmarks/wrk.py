"""Ceilings with wrk: a closed loop of connections, as fast as the server answers."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.errors import BenchmarkError

SCRIPT = Path(__file__).with_name("post.lua")
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


def require_wrk() -> None:
    """Raise BenchmarkError with what to install, where wrk is missing."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("found no wrk, which measures the ceilings: apt-get install wrk")


def measure(
    url: str, bodies: Sequence[bytes], headers: Mapping[str, str], connections: int, seconds: float
) -> Ceiling:
    """Load `url` for so long. Raises BenchmarkError when wrk itself fails."""
    with TemporaryDirectory(prefix="slb-wrk-") as folder:
        for i, body in enumerate(bodies):
            (Path(folder) / f"{i}.json").write_bytes(body)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        command += [f"--timeout={ANSWER_TIMEOUT_S}s", "-s", str(SCRIPT), url]
        command += ["--", folder, str(len(bodies))]
        command += [f"{name}={value}" for name, value in headers.items()]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + 60
        )
    line = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("{")), None)
    if done.returncode != 0 or line is None:
        raise BenchmarkError(f"wrk failed on {url}: {(done.stderr or done.stdout).strip()[-400:]}")
    return Ceiling(**json.loads(line.replace("nan", "0")))
