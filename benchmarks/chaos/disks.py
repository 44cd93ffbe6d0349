"""Small disks of a run's own: a tmpfs in a mount namespace that nothing else sees."""

import ctypes
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.errors import Skipped

INSIDE = "SLUICE_CHAOS_DISKS"
FILLER = "filler"
CHUNK = b"\0" * 65_536
MB = 1_000_000
# Of the kernel: detach at once, whoever still has a file open there.
MNT_DETACH = 2


def enter_namespace() -> None:
    """Begin again in a mount namespace of one's own, where small disks can be made.

    Does nothing where the system does not let us; `require` says so when a disk is asked for.
    """
    if INSIDE in os.environ or shutil.which("unshare") is None:
        return
    words = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        words += ["--user", "--map-root-user"]
    probe = subprocess.run([*words, "true"], capture_output=True, check=False)
    if probe.returncode == 0:
        command = [*words, sys.executable, "-m", "benchmarks.chaos", *sys.argv[1:]]
        os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})


def require() -> None:
    """Raise Skipped where no small disk can be made."""
    if INSIDE not in os.environ:
        raise Skipped("small disks need root, or user namespaces: unshare --mount")


def mount(folder: Path, size_mb: int) -> None:
    """Put an empty disk of this size at a folder. Raises Skipped when the system refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_mb}m,mode=0777"
    command = ["mount", "-t", "tmpfs", "-o", options, "sluice-chaos", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"no small disk: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Take the disk away again."""
    ctypes.CDLL(None).umount2(os.fsencode(folder), MNT_DETACH)


def fill(folder: Path) -> None:
    """Write until there is no room."""
    with suppress(OSError), (folder / FILLER).open("wb", buffering=0) as filler:
        while filler.write(CHUNK):
            pass
    # What is smaller than a chunk still fits: take that too.
    with suppress(OSError), (folder / FILLER).open("ab", buffering=0) as filler:
        while filler.write(b"\0"):
            pass


def empty(folder: Path) -> None:
    """Give the room back."""
    (folder / FILLER).unlink(missing_ok=True)
