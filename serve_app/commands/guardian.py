"""Stands between `sluice up` and Ray, so that nothing of Ray outlives `sluice up`.

    python -m serve_app.commands.guardian FOLDER COMMAND...

It starts the command, passes SIGINT on to it, and ends with its exit code. When the command has
ended, and what it left has not yet, a file in FOLDER says so. The guardian's standard input is a
pipe that only `sluice up` holds. When that ends, also by SIGKILL, the pipe does, and everything
below the guardian is killed by its process id, and FOLDER is removed. Linux gives it the processes
that lose their parent (it is their subreaper), so HAProxy and the workers of a dead raylet are
found too.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ENDED = "ended"
POLL_S = 0.2
# What the command leaves behind may end by itself for so long.
GRACE_S = 10.0
# A process that starts while the others are listed can be missed.
N_EMPTY_LISTS = 3
# One that waits for a dead disk does not end, and must not keep the rest waiting.
KILL_TIMEOUT_S = 30.0


def descendants(ancestor: int) -> dict[int, str]:
    """The processes below one that have not ended: names by process id, oldest parent first."""
    children: dict[int, list[tuple[int, str]]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, name, parent = parse_stat(path.read_text())
            children.setdefault(parent, []).append((pid, name))
    found: dict[int, str] = {}
    unseen = [ancestor]
    while unseen:
        for pid, name in children.get(unseen.pop(), []):
            found[pid] = name
            unseen.append(pid)
    return found


def parse_stat(line: str) -> tuple[int, str, int]:
    """Process id, name and parent, of a line of /proc/<pid>/stat.

    The name may have blanks and parentheses. Raises ProcessLookupError for one that has ended and
    whose parent has not asked how.
    """
    head, _, tail = line.rpartition(")")
    pid, _, name = head.partition(" (")
    state, parent = tail.split()[:2]
    if state in "ZX":
        raise ProcessLookupError(pid)
    return int(pid), name, int(parent)


def kill_descendants(ancestor: int) -> None:
    """Kill everything below a process, and what is started meanwhile; the process itself stays."""
    n_empty = 0
    until_s = time.monotonic() + KILL_TIMEOUT_S
    while n_empty < N_EMPTY_LISTS and time.monotonic() < until_s:
        left = descendants(ancestor)
        n_empty = 0 if left else n_empty + 1
        for pid in left:
            _send(pid, signal.SIGKILL)
        _reap()
        time.sleep(POLL_S / 4)


def guard(command: Sequence[str], folder: Path) -> int:
    """Run the command until it ends, or until standard input does. Returns its exit code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # A handler, since what is ignored would be inherited: Ray has to hear SIGINT. A service
    # manager sends SIGTERM to every process, but `sluice up` alone decides how the end goes.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    interrupts = Interrupts()
    signal.signal(signal.SIGINT, interrupts.pass_on)
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    interrupts.go_to(program.pid)
    code = None
    while code is None:
        if select.select([sys.stdin], [], [], POLL_S)[0]:
            # By itself too: where there is no /proc, nothing is listed.
            _send(program.pid, signal.SIGKILL)
            kill_descendants(os.getpid())
            shutil.rmtree(folder, ignore_errors=True)
            return 128 + signal.SIGKILL
        code = _reap().get(program.pid)
    # Its process id may soon be that of another program.
    interrupts.go_to(None)
    with suppress(OSError):
        (folder / ENDED).touch()
    until_s = time.monotonic() + GRACE_S
    while descendants(os.getpid()) and time.monotonic() < until_s:
        time.sleep(POLL_S)
        _reap()
    kill_descendants(os.getpid())
    return code if code >= 0 else 128 - code


class Interrupts:
    """SIGINT on its way to a program, also when it comes before the program is there."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._n_waiting = 0

    def pass_on(self, *_: object) -> None:
        """Handle the signal."""
        if self._pid is None:
            self._n_waiting += 1
        else:
            _send(self._pid, signal.SIGINT)

    def go_to(self, pid: int | None) -> None:
        """From now on they are for this process; None: for nobody."""
        self._pid = pid
        if pid is not None and self._n_waiting:
            _send(pid, signal.SIGINT)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap() -> dict[int, int]:
    """Take the exit codes of all children that have ended, by process id."""
    codes: dict[int, int] = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            codes[pid] = os.waitstatus_to_exitcode(status)
    return codes


if __name__ == "__main__":
    sys.exit(guard(sys.argv[2:], Path(sys.argv[1])))
