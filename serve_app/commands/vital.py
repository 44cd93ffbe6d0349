"""The two processes without which a Ray on one machine cannot heal, and whether they live."""

from dataclasses import dataclass, field
from pathlib import Path

from serve_app.commands.guardian import descendants, parse_stat

# By the name of the process: what is lost with it.
VITAL = {
    "raylet": "starts replicas, so that one that dies from now on would stay dead",
    "gcs_server": "knows where everything is, so that the rest of Ray ends within a minute",
}


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
            if not _is_alive(pid):
                return (
                    f"Ray's {name} has ended (process {pid}), and Ray does not start it again. "
                    f"It {VITAL[name]}. Sluice ends: start it again, and read the logs of {name} "
                    "below /tmp/ray/session_latest/logs if it happens twice"
                )
        return None


def _is_alive(pid: int) -> bool:
    try:
        parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return False
    return True
