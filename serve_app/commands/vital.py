"""The two processes without which a Ray on one machine cannot heal, and whether they live."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from serve_app.commands.guardian import descendants, parse_stat
from serve_app.commands.ray_logs import last_lines, ray_logs

# By the name of the process: what is lost with it.
VITAL = {
    "raylet": "starts replicas, so that one that dies from now on would stay dead",
    "gcs_server": "knows where everything is, so that the rest of Ray ends within a minute",
}
# So long `serve run` may live on after what ends with it.
LAST_WORD_S = 3.0
POLL_S = 0.1


class CannotHeal(Exception):
    """A process of Ray ended that nothing starts again, and which one."""


@dataclass
class Vital:
    """Looks for Ray's vital processes below `ancestor`, remembers them, and tells when one ends.

    Nothing in Ray starts either of them again on the machine where they ended.
    """

    ancestor: int
    pids: dict[str, int] = field(default_factory=dict)

    def lost(self) -> str | None:
        """A sentence about the one that has ended; None while those that were seen live."""
        if len(self.pids) < len(VITAL):
            for pid, name in descendants(self.ancestor).items():
                if name in VITAL:
                    self.pids.setdefault(name, pid)
        for name, pid in self.pids.items():
            if not is_alive(pid):
                ends = "".join(f"\n  {line}" for line in last_lines(name))
                return (
                    f"Ray's {name} has ended (process {pid}), and Ray does not start it again. "
                    f"It {VITAL[name]}. Sluice ends: start it again, and read its logs below "
                    f"{ray_logs()} if it happens twice" + (f"; they end with{ends}" if ends else "")
                )
        return None


@dataclass(frozen=True)
class Life:
    """Whether `serve run` and what it cannot do without are alive.

    `process` is the guardian; `ended` the file that it makes when `serve run` has ended before it.
    """

    process: "subprocess.Popen[bytes]"
    vital: Vital
    ended: Path

    def goes_on(self) -> bool:
        """Whether the guardian lives. Raises CannotHeal when a process of Ray has ended.

        Not where `serve run` has ended by itself: Ray's processes end with it, and may do so first.
        Nobody looks for them any more then, and the guardian ends soon.
        """
        lost = None if self.ended.exists() else self.vital.lost()
        until_s = time.monotonic() + LAST_WORD_S
        while lost is not None and self.process.poll() is None and not self.ended.exists():
            if time.monotonic() > until_s:
                raise CannotHeal(lost)
            time.sleep(POLL_S)
        return self.process.poll() is None


def is_alive(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return False
    return True
