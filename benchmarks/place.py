"""A folder, ports and an environment of one's own, so that a contender meets nothing else on this machine."""

import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_next_port = itertools.count(os.getpid() * 41)


def free_port() -> int:
    """A port that nobody listens on: above those of Ray's workers, below those that Linux gives to clients."""
    while True:
        port = 20_000 + next(_next_port) % 9_900
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


@dataclass(frozen=True)
class Place:
    """Where one contender runs."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Where it shall answer."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """The environment of every contender: one thread a model, own home, own Ray folder and ports."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("RAY_", "MODEL_PATH"))
        }
        first = 30_100 + os.getpid() % 26 * 100  # for the replicas' own ports in the fast mode
        return kept | {
            "HOME": str(self.folder / "home"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "PYTHONDONTWRITEBYTECODE": "1",
            "RAY_TMPDIR": str(self.folder / "ray"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + 99),
        }


@contextmanager
def own_place() -> Iterator[Place]:
    """A place for a `with` block, gone afterwards."""
    folder = Path(
        tempfile.mkdtemp(prefix="slb-")
    )  # short: Ray's socket paths must stay under 108 characters
    try:
        for name in ("home", "ray"):
            (folder / name).mkdir()
        yield Place(folder, free_port())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
