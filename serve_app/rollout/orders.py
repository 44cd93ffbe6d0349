"""What a server and the coordinator tell each other once a second."""

from dataclasses import dataclass
from typing import Literal

from serve_app.rollout.counts import Counts
from serve_app.settings import Rollout

Loaded = Literal[
    "ready", "missing", "refused"
]  # refused: the bundle is wrong, and no second look will mend it


@dataclass(frozen=True)
class Candidate:
    """How far the candidate is in one server."""

    state: Loaded
    reason: str = ""
    isolated: bool = False
    rows_per_s: float = 0.0  # what one replica of it can score, as measured when it proved itself


@dataclass(frozen=True)
class Report:
    """A server reports. `seq` rises with each report, so that one that is sent again counts once."""

    server: str
    seq: int
    plan: Rollout | None  # what its table wants
    candidate: Candidate
    rows: int  # answered since the last report
    tallies: tuple[Counts, ...]


@dataclass(frozen=True)
class Orders:
    """What the candidate gets in this phase of this run."""

    rollout: str  # Rollout.id
    run: str  # State.id, the salt of the assignment
    phase: int
    percent: float
    shadow: bool


@dataclass(frozen=True)
class Reply:
    """The coordinator's answer to a beat. Not known (it has just started): go on as before. Known and no orders:
    stable answers everybody, for there is no rollout, or nobody can read how far it is."""

    known: bool
    orders: Orders | None = None
