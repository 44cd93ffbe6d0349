"""A folder, ports and an environment of one's own: a contender meets nothing else here."""

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
    """Find a port that nobody listens on.

    It is above those of Ray's workers, and below those that Linux gives to clients.
    """
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
        """Where it must answer."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Make the environment of a contender.

        One thread a model; its own home, and its own folder and ports for Ray.
        """
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("RAY_", "MODEL_PATH"))
        }
        # For the replicas' own ports in the fast mode.
        first = 30_100 + os.getpid() % 26 * 100
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
    # Short: Ray's socket paths must stay under 108 characters.
    folder = Path(tempfile.mkdtemp(prefix="slb-"))
    try:
        for name in ("home", "ray"):
            (folder / name).mkdir()
        yield Place(folder, free_port())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
