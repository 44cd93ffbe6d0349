"""A program with all that it starts: the whole of it ends on demand, or when the process that
started it is gone.

Run as a script, this file is the reaper that stands between the two. Linux hands orphans to it (it
is their subreaper), so what a program left behind, in sessions of its own too, is still found and
ended by its id.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.1
N_EMPTY = 4


class Program:
    """A running program, the leader of a session of its own; what it prints goes to a file."""

    def __init__(
        self, command: Sequence[Any], log: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        reaper = [sys.executable, "-I", __file__, *map(str, command)]
        with log.open("ab") as output:
            self._reaper = subprocess.Popen(
                reaper,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                bufsize=0,
                start_new_session=True,
            )
        self._code: int | None = None
        pid = self._number()
        assert pid is not None, f"{command[0]} did not start, see {log}"
        self.pid = pid

    def code(self, timeout_s: float = 0.0) -> int | None:
        """The exit code once the program has ended, negative after a signal; None while it runs."""
        told = self._reaper.stdout
        assert told is not None
        if self._code is None and not told.closed and select.select([told], [], [], timeout_s)[0]:
            self._code = self._number()
        return self._code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def descendants(self) -> dict[int, str]:
        """Process id and command line of all that the program started and that still runs."""
        return {pid: _command_line(pid) for pid in _descendants(self._reaper.pid)}

    def end(self) -> None:
        """Kill all of it. What has ended already is no error."""
        assert self._reaper.stdin is not None
        assert self._reaper.stdout is not None
        self._reaper.stdin.close()
        self._reaper.wait()
        self.code()
        self._reaper.stdout.close()

    def _number(self) -> int | None:
        """What the reaper tells next; None at its end."""
        assert self._reaper.stdout is not None
        line = self._reaper.stdout.readline()
        return int(line) if line else None


def _descendants(ancestor: int) -> list[int]:
    """The processes below this one that have not ended."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
    found: list[int] = []
    unseen = [ancestor]
    while unseen:
        below = children.get(unseen.pop(), [])
        found += below
        unseen += below
    return found


def _command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return words.replace(b"\0", b" ").decode(errors="replace")[:120]


def _reap(command: Sequence[str]) -> None:
    """Run the command, tell its id and its exit code on stdout; at the end of stdin kill all that
    is left.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    # A handler, and not SIG_IGN, which the program would inherit: it must hear Ctrl-C, also where a
    # shell started the tests in its background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    program = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        start_new_session=True,
    )
    _say(program.pid)
    while not select.select([0], [], [], POLL_S)[0]:
        _bury(program.pid)
    # A process that is started while the others are listed can be missed: only when several lists
    # in a row are empty is nothing left.
    n_empty = 0
    while n_empty < N_EMPTY:
        left = _descendants(os.getpid())
        n_empty = 0 if left else n_empty + 1
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S / 2)
        _bury(program.pid)


def _bury(program: int) -> None:
    """Take the exit codes of all children that have ended; the program's own is told."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            pid, status = ended
            if pid == program:
                _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    with suppress(BrokenPipeError):
        os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    _reap(sys.argv[1:])
