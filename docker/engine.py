"""A container engine for the image's test.

Docker, or podman as `container_build.sh` sets it up, by the same words.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT.parent / "shared" / "tools" / "container_build.sh"
# The script's own folder.
WORK = Path("/var/tmp/container-build")
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp:rw,size=512m,mode=1777", "--user", "123456:0"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--memory", "2g", "--shm-size", "128m"),
)


@dataclass(frozen=True)
class Engine:
    """The program, and what it needs in its environment.

    `lent` are pip's settings of this machine, lent to a build.
    """

    program: str
    environment: dict[str, str] = field(default_factory=dict)
    lent: tuple[str, ...] = ()

    def call(self, *words: object, timeout_s: float = 900, check: bool = True) -> str:
        """Run it; its output and errors."""
        command = [self.program, *map(str, words)]
        env = {**os.environ, **self.environment}
        done = subprocess.run(
            command,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-3000:]}"
            )
        return done.stdout

    def build(
        self, target: str, *options: object, context: Path = ROOT, tag: str | None = None
    ) -> str:
        """Build a target; its tag."""
        tag = tag or f"sluice:{target}"
        formats: tuple[str, ...] = ()
        if self.program == "podman":
            formats = ("--format", "docker", "--layers", "--network", "host")
        words = (*formats, *self.lent, *options, "--target", target, "-t", tag, context)
        self.call("build", *words, timeout_s=1800)
        return tag

    def gzip_mb(self, tag: str) -> float:
        """What a pull of the image transfers, with gzip: megabytes of its archive, compressed."""
        env = {**os.environ, **self.environment}
        with subprocess.Popen([self.program, "save", tag], env=env, stdout=subprocess.PIPE) as save:
            packed = subprocess.run(
                "gzip -6 | wc -c",
                shell=True,
                stdin=save.stdout,
                capture_output=True,
                text=True,
                check=True,
            )
        return int(packed.stdout) / 1e6


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

    def until_ready(self, timeout_s: float = 120) -> float:
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
    words = ("-d", "--name", name, "-p", f"127.0.0.1:{port}:8000")
    try:
        engine.call("run", *words, *given, tag, *command)
        yield Container(engine, name, port)
    finally:
        engine.call("rm", "-f", name, check=False)


def find_engine() -> Engine | None:
    """Find Docker when its daemon answers, else podman through the script when that may run."""
    if shutil.which("docker"):
        info = subprocess.run(["docker", "info"], capture_output=True, check=False)
        if info.returncode == 0:
            return Engine("docker")
    if not SCRIPT.exists() or os.getuid() != 0:
        return None
    settings = [Path("/etc/pip.conf"), Path("/etc/ssl/certs/ca-certificates.crt")]
    lent = [word for path in settings if path.exists() for word in ("-v", f"{path}:{path}:ro")]
    return Engine("podman", {"CONTAINERS_CONF": str(WORK / "containers.conf")}, tuple(lent))


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
