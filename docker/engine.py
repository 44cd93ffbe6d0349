"""A container engine for the image's test.

Docker, or podman as `container_build.sh` sets it up, by the same words.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT.parent / "shared" / "tools" / "container_build.sh"
# What the script puts in the place of the base, since there may be no registry.
STAND_IN = "localhost/python:3.11-slim"
BASE = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
# The script's own folder.
WORK = Path("/var/tmp/container-build")


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
            formats += ("--build-arg", f"BASE={STAND_IN}")
        words = (*formats, *self.lent, *options, "--target", target, "-t", tag, context)
        self.call("build", *words, timeout_s=1800)
        return tag

    def packed_mb(self, tag: str, packer: str = "gzip -6") -> float:
        """What a pull of the image transfers: megabytes of its archive, compressed."""
        return self._piped(("save", tag), f"{packer} | wc -c") / 1e6

    def folder_mb(self, tag: str, folder: str) -> float:
        """What a layer that holds one folder of the image transfers, with gzip."""
        return self._piped(("run", "--rm", *_tar(tag, folder)), "gzip -6 | wc -c") / 1e6

    def folder_sum(self, tag: str, folder: str) -> str:
        """A sum over what is in a folder of the image: names, contents, rights, owners, dates."""
        said = self.call("run", "--rm", *_tar(tag, folder, "| sha256sum"))
        # Engines say other things too, with the time in front.
        [found] = re.findall(r"^([0-9a-f]{64})  -$", said, re.MULTILINE)
        return str(found)

    def _piped(self, words: Sequence[str], program: str) -> int:
        """The number that a program says of what the engine writes.

        Raises AssertionError where the engine fails: what it did not write has no size.
        """
        command = [self.program, *words]
        env = {**os.environ, **self.environment}
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as made:
            found = subprocess.run(
                ["bash", "-o", "pipefail", "-c", program],
                stdin=made.stdout,
                capture_output=True,
                text=True,
                check=True,
            )
        if made.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit code {made.returncode}")
        return int(found.stdout)


def _tar(tag: str, folder: str, then: str = "") -> tuple[str, ...]:
    # What is inside it: the folder itself has the date of the build that made it.
    command = (
        f"set -o pipefail; shopt -s dotglob; cd {folder} && tar --create --sort=name -- * {then}"
    )
    return ("--entrypoint", "bash", tag, "-c", command)


def on_stand_in(dockerfile: str) -> str:
    """The Dockerfile with the script's base in the place of the one with a digest."""
    changed, n = BASE.subn(f"ARG BASE={STAND_IN}", dockerfile)
    assert n == 1, f"found {n} lines `ARG BASE=...` in the Dockerfile, expected one"
    return changed


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


@contextmanager
def context() -> Iterator[Path]:
    """What git would send: the script has no .dockerignore of its own to rely on."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with tempfile.TemporaryDirectory() as name:
        for file in filter(lambda file: (ROOT / file).is_file(), files.stdout.splitlines()):
            (Path(name) / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, Path(name) / file)
        yield Path(name)
