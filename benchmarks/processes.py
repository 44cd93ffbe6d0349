"""Programs that the benchmark starts, measured and ended.

That covers all sessions that they open, and nothing else.
"""

import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
STOP_TIMEOUT_S = 5.0
# Of resident memory: a process's part of all, or of what processes wrote themselves. Of pages of
# files the part of each grows when others that read the same file end.
PROPORTIONAL = "Pss"
ANONYMOUS = "Pss_Anon"
# Part of the command line → name in the report; the first that fits counts.
_LABELS = (
    (":Server", "Sluice server"),
    (":Version", "isolated version"),
    ("ServeReplica", "replica"),
    ("haproxy", "HAProxy"),
    ("HAProxyManager", "Serve proxy"),
    ("ProxyActor", "Serve proxy"),
    ("ServeController", "Serve controller"),
    ("ray::", "Ray core"),
    ("/ray/", "Ray core"),
)


@dataclass(frozen=True)
class Process:
    """One line of /proc."""

    pid: int
    parent: int
    session: int
    started_ticks: int
    cpu_s: float


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far by (pid, start), with the name of each process."""

    cpu_s: Mapping[tuple[int, int], float]
    names: Mapping[tuple[int, int], str]

    def since(self, before: "Usage") -> dict[str, float]:
        """CPU seconds by name between two readings; a process that ended between them is lost."""
        spent: defaultdict[str, float] = defaultdict(float)
        for key, cpu_s in self.cpu_s.items():
            spent[self.names[key]] += cpu_s - before.cpu_s.get(key, 0.0)
        return {name: s for name, s in _largest_first(spent).items() if s > 0}


class Program:
    """A server under test, in a session of its own."""

    def __init__(self, command: Sequence[str | Path], env: Mapping[str, str], folder: Path) -> None:
        self.log = folder / "server.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                env=dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions = {self._process.pid}

    @property
    def ended(self) -> bool:
        """Whether the leader is gone."""
        return self._process.poll() is not None

    def members(self) -> list[Process]:
        """Every process of the sessions that the leader or its descendants opened."""
        alive = {process.pid: process for process in _all_processes()}
        for process in alive.values():
            if _descends(process, self._process.pid, alive):
                self._sessions.add(process.session)
        return [process for process in alive.values() if process.session in self._sessions]

    def usage(self) -> Usage:
        """CPU seconds so far."""
        members = {(process.pid, process.started_ticks): process for process in self.members()}
        names = {key: name_of(process.pid) for key, process in members.items()}
        return Usage({key: process.cpu_s for key, process in members.items()}, names)

    def memory_mb(self, kind: str = PROPORTIONAL) -> dict[str, float]:
        """Resident memory of a kind, by name; shared pages are counted once over all."""
        found: defaultdict[str, float] = defaultdict(float)
        for process in self.members():
            found[name_of(process.pid)] += pss_mb(process.pid, kind)
        return _largest_first(found)

    def kill_leader(self) -> None:
        """Kill the leader alone: what it started has to notice by itself."""
        _kill(self._process.pid)

    def stop(self) -> None:
        """End the leader by SIGTERM, so that it clears its own folders, and the rest at once.

        All by id.
        """
        # While the tree is still whole.
        members = self.members()
        if not self.ended:
            self._process.send_signal(signal.SIGTERM)
        for process in members:
            if process.pid != self._process.pid:
                _kill(process.pid)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        until_s = time.monotonic() + STOP_TIMEOUT_S
        left = self.members()
        while left and time.monotonic() < until_s:
            for process in left:
                _kill(process.pid)
            time.sleep(0.02)
            left = self.members()
        self._process.wait(STOP_TIMEOUT_S)


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _largest_first(found: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def name_of(pid: int) -> str:
    """Name a process as the report calls it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        command = words.decode(errors="replace").strip()
        for part, label in _LABELS:
            if part in command:
                return label
        return _comm(pid)
    except OSError:
        return "gone"


def _comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _descends(process: Process, root: int, alive: Mapping[int, Process]) -> bool:
    at: Process | None = process
    while at is not None and at.pid != root:
        at = alive.get(at.parent)
    return at is not None


def _all_processes() -> list[Process]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] == "Z":
                continue
            cpu_s = (int(fields[11]) + int(fields[12])) * TICK_S
            found.append(
                Process(
                    int(stat.parent.name), int(fields[1]), int(fields[3]), int(fields[19]), cpu_s
                )
            )
    return found


def pss_mb(pid: int, kind: str = PROPORTIONAL) -> float:
    """Read the proportional resident memory of one process, of a kind."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{kind}:")), 0.0)
