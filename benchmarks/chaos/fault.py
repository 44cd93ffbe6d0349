"""What a fault is: what is done to a running server, for how long, and what may come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.chaos.config import Config
from benchmarks.chaos.served import Served
from benchmarks.chaos.store import StoreProxy
from benchmarks.question import Question
from benchmarks.replica import Dashboard
from benchmarks.wrk import Sample

MODES = ("fast", "plain")
PLACEMENTS = ("in_server", "isolated")


@dataclass(frozen=True)
class Stage:
    """What a fault can reach: the server, its store, and questions to ask it.

    In `samples` it may note how its own clients were answered.
    """

    served: Served
    question: Question
    store: StoreProxy | None = None
    samples: list[Sample] = field(default_factory=list)

    def deploy(self, config: Config) -> str:
        """Send a file to the running server; what it answered. The file itself stays as it was."""
        try:
            Dashboard(self.served.program, self.served.place).deploy(config)
        except OSError as error:
            return f"refused: {error}"
        return "taken"


# Returns what is worth saying about it.
Act = Callable[[Stage], str]


def nothing(_: Stage) -> str:
    """Do nothing: for a fault that needs no end, or is none."""
    return ""


@dataclass(frozen=True)
class Fault:
    """One thing that breaks.

    `begin` breaks it, and `lasts_s` later `end` puts it right; where there is no end the server has
    to heal by itself. `needs` is what the run must have: "disks", "store". `ends_server`: `sluice
    up` must end with a reason, and something outside starts it again. `may_shed`: 429 and 503 are
    right, and `most_p99_ms` bounds what is accepted meanwhile; something has to be.
    `most_growth_percent` bounds how much more memory all processes may have in the end, where it
    was watched as long as a soak.
    """

    name: str
    title: str
    begin: Act
    end: Act = nothing
    lasts_s: float = 0.0
    modes: tuple[str, ...] = MODES
    placements: tuple[str, ...] = PLACEMENTS
    needs: tuple[str, ...] = ()
    ends_server: bool = False
    may_shed: bool = False
    most_p99_ms: float | None = None
    most_growth_percent: float | None = None
    most_recovery_s: float = 15.0
