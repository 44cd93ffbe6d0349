"""The server under faults: started by `sluice up`, and again when it ends, as a supervisor does."""

import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import yaml

from benchmarks.chaos.config import Config
from benchmarks.chaos.parts import expected, part_of
from benchmarks.contenders.sluice import BIN
from benchmarks.errors import BenchmarkError, Skipped
from benchmarks.place import Place
from benchmarks.processes import ANONYMOUS, Program

START_TIMEOUT_S = 600.0
LOOK_S = 0.2
# What a server that ended may still need to end its own processes.
LEFT_TIMEOUT_S = 60.0


class Served:
    """A running `sluice up`; its processes are found below it, never by name alone."""

    def __init__(
        self,
        mode: str,
        placement: str,
        replicas: int,
        place: Place,
        config: Config,
        env: Mapping[str, str],
    ) -> None:
        self.mode = mode
        self.placement = placement
        self.place = place
        self.config = config
        # What was left behind when it ended, and its last words, since `forget`.
        self.left: list[str] = []
        self.words = ""
        self._expected = expected(mode, placement, replicas)
        self._env = place.environment() | dict(env)
        self._is_closing = threading.Event()
        self._path = place.folder / "serve_config.yaml"
        self.program = self._started()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.place.url

    def _started(self) -> Program:
        self._path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        words: list[str | Path] = [BIN / "sluice", "up", self._path]
        words.append("--fast" if self.mode == "fast" else "--plain")
        return Program(words, self._env, self.place.folder)

    def _supervise(self) -> None:
        while not self._is_closing.wait(LOOK_S):
            # Also so that what belongs to it is known when its parent is gone.
            self.program.members()
            if self.program.ended:
                self._start_again()

    def _start_again(self) -> None:
        until_s = time.monotonic() + LEFT_TIMEOUT_S
        while self.program.members() and time.monotonic() < until_s:
            time.sleep(LOOK_S)
        self.left += sorted({_title(process.pid) for process in self.program.members()})
        lines = self.program.log.read_text(errors="replace").strip().splitlines()
        self.words = "; ".join(line for line in lines[-20:] if "has ended" in line)
        self.program.stop()
        if not self._is_closing.is_set():
            self.program = self._started()

    def pids(self, part: str) -> list[int]:
        """The processes of a part, the oldest first."""
        members = sorted(self.program.members(), key=lambda process: process.started_ticks)
        return [process.pid for process in members if _part(process.pid) == part]

    def signal(self, part: str, number: signal.Signals) -> int:
        """Send a signal to the oldest process of a part. Returns its id; raises Skipped."""
        pids = self.pids(part)
        if not pids:
            raise Skipped(f"no process of this kind is running: {part}")
        os.kill(pids[0], number)
        return pids[0]

    def kill(self, part: str) -> None:
        """Kill the oldest process of a part. Raises Skipped when there is none."""
        self.signal(part, signal.SIGKILL)

    def is_whole(self) -> bool:
        """Whether every process is there, and every version is ready."""
        found = Counter(_part(process.pid) for process in self.program.members())
        if any(found[part] < n for part, n in self._expected.items()):
            return False
        return self._is_ready()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def until_whole(self, timeout_s: float = START_TIMEOUT_S) -> bool:
        """Wait until it is whole in three looks in a row; False when it is not in time."""
        until_s = time.monotonic() + timeout_s
        n_looks = 0
        while n_looks < 3:
            if time.monotonic() > until_s:
                return False
            n_looks = n_looks + 1 if self.is_whole() else 0
            time.sleep(LOOK_S)
        return True

    def require_whole(self) -> None:
        """Wait until it is whole. Raises BenchmarkError with its last lines when it is not."""
        if not self.until_whole():
            log = self.program.log.read_text(errors="replace")[-1500:]
            raise BenchmarkError(f"{self.mode}, {self.placement}: not whole; its lines:\n{log}")

    def forget(self) -> None:
        """Begin again with what was left and said."""
        self.left = []
        self.words = ""

    def memory_mb(self) -> float:
        """What all of its processes have written into memory themselves."""
        return sum(self.program.memory_mb(ANONYMOUS).values())

    def close(self) -> None:
        """End it, and the supervisor."""
        self._is_closing.set()
        self._supervisor.join()
        self.program.stop()


def _part(pid: int) -> str | None:
    try:
        program = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    return part_of(program, _title(pid))


def _title(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return words.decode(errors="replace").strip()[:80]
    return ""
