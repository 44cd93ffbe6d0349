"""A container of the image, while a check asks it."""

import json
import socket
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import ROOT, Engine

from serve_app.models import get_spec

STORE = ROOT / "model_store"
ROW = json.dumps(get_spec("churn").examples[0].row.model_dump()).encode()
# The image refuses to listen on every address without keys or this.
OPEN = ("-e", "KEYS_PATH=disabled")
MODELS = ("-v", f"{STORE}:/models:ro")
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp:rw,size=512m,mode=1777", "--user", "123456:0"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--memory", "2g", "--shm-size", "128m"),
)


@dataclass
class Container:
    """A running container."""

    engine: Engine
    name: str
    port: int

    @property
    def url(self) -> str:
        """Where its port 8000 is published."""
        return f"http://127.0.0.1:{self.port}"

    def logs(self) -> str:
        """Read all that it said."""
        return self.engine.call("logs", self.name, check=False)

    def inspect(self, what: str) -> str:
        """Ask the engine for one of its facts about it."""
        return self.engine.call("inspect", "-f", what, self.name).strip()

    def get(self, path: str, timeout_s: float = 5) -> int:
        """Send a GET; its status, or 0 for no answer."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def predict(self, body: bytes = ROW, prefix: str = "") -> dict[str, Any]:
        """Ask for one prediction."""
        request = urllib.request.Request(
            f"{self.url}{prefix}/v1/predict", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def until_ready(self, timeout_s: float = 300) -> float:
        """Wait until `/ready` says so; the seconds that it took."""
        start_s = time.monotonic()
        try:
            wait_until(lambda: self.get("/ready") == 200, timeout_s, "ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()[-3000:]}") from None
        return time.monotonic() - start_s

    def ended(self, timeout_s: float = 120) -> int:
        """Wait until it has ended; its exit code."""
        wait_until(
            lambda: self.inspect("{{.State.Status}}") == "exited",
            timeout_s,
            f"the end of {self.name}",
        )
        return int(self.inspect("{{.State.ExitCode}}"))


@contextmanager
def running(
    engine: Engine, tag: str, *options: object, command: Sequence[str] = ()
) -> Iterator[Container]:
    """A container for a `with` block; it goes with it, whatever happens."""
    name = f"sluice-{uuid.uuid4().hex[:8]}"
    port = free_port()
    given = [option for option in options if option != "--healthcheck"]
    if engine.program == "podman" and "--healthcheck" not in options:
        # There may be no systemd to run podman's health checks: they are run by hand.
        given.append("--no-healthcheck")
    # Published on the loopback alone. A later option overrides it.
    words = ("-d", "--name", name, "-p", f"127.0.0.1:{port}:8000", *OPEN)
    try:
        engine.call("run", *words, *given, tag, *command)
        yield Container(engine, name, port)
    finally:
        engine.call("rm", "-f", name, check=False)


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Wait for the first true value. Raises AssertionError that says what was waited for."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        value = condition()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"not within {timeout_s:g} s: {what}")


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def readable(folder: Path) -> None:
    """Let any user read the folder, which `tempfile` makes for its owner alone."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
