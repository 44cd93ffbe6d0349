"""The child process of `proving`: it takes a model from stdin, opens it, and says what it raised.

It limits itself before it reads the first byte. No model is opened by importing this.
"""

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

# The kernel ends a process that does not end by SIGXCPU.
GRACE_S = 5
# A model writes no files; what its packages keep, such as bytecode, is small.
MOST_FILE_BYTES = 64 * 1024**2
# Of an error, which may quote what a stranger wrote.
MOST_CHARACTERS = 600
# Where memory is short, the kernel ends the child and not a server.
FIRST_TO_GO = "1000"


@dataclass(frozen=True)
class Given:
    """What a child is told in its command line; stdin holds the manifest and the model."""

    n_manifest_bytes: int
    manifest_sha256: str
    threshold: float
    where: str
    cpu_s: float
    wall_s: float
    memory_bytes: int

    def to_text(self) -> str:
        """Write it as one word."""
        return json.dumps(asdict(self))


def limit(given: Given) -> None:
    """Bound time, memory and files of this process, for good."""
    # Also when the parent has gone.
    signal.setitimer(signal.ITIMER_REAL, given.wall_s + GRACE_S)
    cpu_s = max(1, round(given.cpu_s))
    _lower(resource.RLIMIT_CPU, cpu_s, GRACE_S)
    _lower(resource.RLIMIT_FSIZE, MOST_FILE_BYTES)
    _lower(resource.RLIMIT_CORE, 0)
    # Not of addresses: libraries of GPUs reserve more of them than any machine has memory.
    _lower(resource.RLIMIT_DATA, given.memory_bytes)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


def _lower(kind: int, most: int, grace: int = 0) -> None:
    """Bound one resource; a container may have a lower bound already, which stays."""
    soft, hard = resource.getrlimit(kind)
    found = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min([most, *found]), min([most + grace, *found])))


def fault_of(error: Exception) -> str:
    """Whose fault an error is, in the words of `proving`."""
    from serve_app.bundle.room import is_memory
    from serve_app.errors import BundleUnavailable, NoRoom

    if isinstance(error, NoRoom):
        is_short = error.__cause__ is not None and is_memory(error.__cause__)
        return "memory" if is_short else "room"
    return "passing" if isinstance(error, BundleUnavailable) else "bundle"


def main() -> None:
    """Prove the version on stdin, and say on stdout what came of it."""
    given = Given(**json.loads(sys.argv[1]))
    limit(given)
    # What libraries print must not look like the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    data = sys.stdin.buffer.read()

    # Imported late, within the limits.
    from serve_app.bundle.loading import Verified, opened
    from serve_app.bundle.manifest import parse
    from serve_app.errors import BundleError

    said: dict[str, object] = {"is_proven": True}
    model = data[given.n_manifest_bytes :]
    try:
        manifest = parse(data[: given.n_manifest_bytes], given.where)
        opened(Verified(manifest, given.manifest_sha256, model, given.threshold, given.where))
    except BundleError as error:
        text = str(error)[:MOST_CHARACTERS]
        said = {"is_proven": False, "text": text, "fault": fault_of(error)}
    with os.fdopen(answer, "w") as file:
        json.dump(said, file)


if __name__ == "__main__":
    main()
