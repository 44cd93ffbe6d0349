"""A version is opened in a child process first, with limits of time and memory.

What never ends, takes all memory or ends its process does so there, and no server falls with it.
That costs a start of Python and onnxruntime, so a node does it once a version: a mark in the node's
cache says that it was proven here.
"""

import fcntl
import importlib.metadata
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from serve_app.bundle.cache import cache_folder
from serve_app.bundle.loading import Verified
from serve_app.bundle.ownership import make_own
from serve_app.bundle.proving_child import Given
from serve_app.bundle.room import free_memory_bytes
from serve_app.contract.plain_text import plain
from serve_app.errors import BundleError, BundleUnavailable, NoRoom

logger = logging.getLogger(__name__)

MARKS = "proven"
# Of what a child says, and of the end of what it printed.
MOST_BYTES = 8_000
LAST_BYTES = 2_000
LAST_CHARACTERS = 200
# A child may take so much of the memory that is free: the rest of it is for those that serve.
# Where the kernel ends all of a pod at once (memory.oom.group), a child must not get there.
SHARE_OF_FREE = 0.7
LEAST_MEMORY_BYTES = 256 * 1024**2
# Its pools of threads would take memory for each core, and gain nothing.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class ProofLimits:
    """What opening a version and replaying its golden rows may take.

    A large model takes more: `cpu_s` and `memory_bytes` are those of an empty one. Time on the
    clock is `wall_factor` times that of the CPU: a node may be busy. `is_short`: the memory is
    less than a model may take, since this machine has no more.
    """

    cpu_s: float = 30.0
    cpu_s_per_mb: float = 0.5
    memory_bytes: int = 2 * 1024**3
    memory_per_byte: int = 20
    wall_factor: float = 10.0
    is_short: bool = False

    def of(self, n_bytes: int, free_bytes: int | None = None) -> "ProofLimits":
        """Those of a model of so many bytes, where so many are free; None: not known."""
        memory_bytes = self.memory_bytes + self.memory_per_byte * n_bytes
        most_bytes = memory_bytes
        if free_bytes is not None:
            most_bytes = max(LEAST_MEMORY_BYTES, int(SHARE_OF_FREE * free_bytes))
        return replace(
            self,
            cpu_s=self.cpu_s + self.cpu_s_per_mb * n_bytes / 1e6,
            memory_bytes=min(memory_bytes, most_bytes),
            is_short=most_bytes < memory_bytes,
        )

    @property
    def wall_s(self) -> float:
        """Seconds on the clock."""
        return self.wall_factor * self.cpu_s


# How a child ended that was given a model and so many seconds, with files for its answer and for
# all else that it prints.
Run = Callable[[Given, bytes, IO[bytes], IO[bytes], float], int | None]
LIMITS = ProofLimits()
# What to raise for a fault of which a child tells; of memory see below.
FAULTS: Mapping[str, type[BundleError]] = MappingProxyType(
    {"bundle": BundleError, "passing": BundleUnavailable, "room": NoRoom}
)


def run_child(
    given: Given, model: bytes, answer: IO[bytes], printed: IO[bytes], wall_s: float
) -> int | None:
    """Start a child with a model on its stdin, and wait for it.

    Returns its exit code, as `subprocess` has it; None when it did not end in time, and is killed.
    Raises OSError when none can be started.
    """
    words = [sys.executable, "-P", "-m", "serve_app.bundle.proving_child", given.to_text()]
    # What this process can import, such as a contract next to serve_config.yaml, the child can too.
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=answer,
        stderr=printed,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": paths},
        start_new_session=True,
    ) as child:
        try:
            child.communicate(model, timeout=wall_s)
        except BaseException as error:
            # Its whole group: it may have started others.
            os.killpg(child.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return None
        return child.returncode


def prove_first(
    verified: Verified,
    limits: ProofLimits = LIMITS,
    run: Run = run_child,
    free_bytes: Callable[[], int | None] = free_memory_bytes,
) -> None:
    """Open a version in a child process, unless this node has done so.

    Raises BundleError for what it says, does or never ends doing; BundleUnavailable where that may
    pass, and NoRoom where this machine is at fault.
    """
    with _mark(verified.manifest_sha256) as mark:
        if mark is not None and mark.read(1):
            return
        _prove(verified, limits.of(len(verified.model), free_bytes()), run)
        if mark is not None:
            # Without room for the mark it is proven again the next time.
            with suppress(OSError):
                mark.write(b"1")
                mark.flush()


def _prove(verified: Verified, limits: ProofLimits, run: Run) -> None:
    file = f"{verified.where}/{verified.manifest.model_file}"
    manifest = verified.manifest.model_dump_json().encode()
    given = Given(
        n_manifest_bytes=len(manifest),
        manifest_sha256=verified.manifest_sha256,
        threshold=verified.threshold,
        where=verified.where,
        cpu_s=limits.cpu_s,
        wall_s=limits.wall_s,
        memory_bytes=limits.memory_bytes,
    )
    try:
        with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as printed:
            # Room for the answer, taken now: a full disk is met here and not by the child.
            answer.write(b" " * MOST_BYTES)
            answer.flush()
            answer.seek(0)
            code = run(given, manifest + verified.model, answer, printed, limits.wall_s)
            answer.seek(0)
            said = answer.read(MOST_BYTES)
            last = _last_line(printed)
    except (OSError, MemoryError) as error:
        raise NoRoom(
            f"{file}: no process can be started to prove it ({type(error).__name__}); expected "
            "memory for a second copy, and a file in the folder for temporary ones"
        ) from error
    found = _answer(said)
    if found is None:
        raise _silent(code, file, limits, last)
    if not found["is_proven"]:
        # The code that wrote it may be a stranger's.
        text = plain(str(found["text"]))
        if found["fault"] == "memory":
            raise _too_greedy(text, limits)
        raise FAULTS.get(str(found["fault"]), BundleError)(text)


def _answer(said: bytes) -> dict[str, Any] | None:
    """What a child wrote; None when that is no whole answer."""
    try:
        found = json.loads(said)
    except ValueError:
        return None
    is_whole = isinstance(found, dict) and (
        found.get("is_proven") is True or {"is_proven", "text", "fault"} <= set(found)
    )
    return found if is_whole else None


def _last_line(printed: IO[bytes]) -> str:
    """The last line of what a child printed, in parentheses; nothing where there is none."""
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - LAST_BYTES))
    lines = printed.read().decode(errors="replace").split("\n")
    written = [line.strip() for line in lines if line.strip()]
    return f" ({plain(written[-1])[:LAST_CHARACTERS]})" if written else ""


def _too_greedy(text: str, limits: ProofLimits) -> BundleError:
    """What to say of a child that had no memory left."""
    most_mb = limits.memory_bytes / 1e6
    if limits.is_short:
        return NoRoom(
            f"{text}; this machine has {most_mb:.0f} MB left for it, which may be too little"
        )
    return BundleError(f"{text}; a model of this size may take {most_mb:.0f} MB")


def _silent(code: int | None, file: str, limits: ProofLimits, last: str) -> BundleError:
    """What to say of a child that ended without an answer, and printed this last."""
    if code is None:
        return NoRoom(
            f"{file}: was not opened within {limits.wall_s:.0f} s, in a process of its own; "
            "this machine is too busy, or the model waits for something"
        )
    if code == -signal.SIGXCPU:
        return BundleError(
            f"{file}: takes more than {limits.cpu_s:.0f} s of CPU to be opened and to score its "
            "golden rows; expected a model that ends"
        )
    if code == -signal.SIGKILL:
        return NoRoom(
            f"{file}: the process that opened it was killed; this machine has too little memory, "
            "or the model takes too much"
        )
    if code < 0:
        text = f"{file}: ends the process that opens it (signal {-code}){last}"
        # What gets no memory may end in any way.
        return _too_greedy(text, limits) if limits.is_short else BundleError(text)
    # Whatever this machine's Python lacks, or code in the bundle that leaves.
    text = f"{file}: the process that opened it ended without an answer, code {code}{last}"
    return _too_greedy(text, limits) if limits.is_short else BundleUnavailable(text)


@contextmanager
def _mark(manifest_sha256: str) -> Iterator[IO[bytes] | None]:
    """A file of this node that holds something when the version was proven here.

    It is locked, so that one replica proves while the others wait. None where there is no cache.
    """
    # The next onnxruntime may not end where this one does; scikit-learn's is in the manifest.
    name = f"{manifest_sha256}-{importlib.metadata.version('onnxruntime')}"
    try:
        folder, fault = make_own(cache_folder(), MARKS)
        mark = None if fault else (folder / name).open("a+b")
    except OSError as error:
        mark = None
        fault = f"{cache_folder()}: {error.strerror}"
    if mark is None:
        logger.warning("no cache, so that each start proves its versions again: %s", fault)
        yield None
        return
    with mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        mark.seek(0)
        yield mark
