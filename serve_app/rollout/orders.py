"""What a server and the coordinator tell each other of a rollout, once a second."""

from dataclasses import dataclass, replace
from typing import Literal

from serve_app.rollout.counts import Counts
from serve_app.rollout.event import BY_A_PERSON, Out
from serve_app.rollout.log import Log
from serve_app.rollout.state import OUT, State, fold, weights
from serve_app.settings import Rollout

# refused: the bundle is wrong, and trying again cannot help.
Loaded = Literal["ready", "missing", "refused"]


@dataclass(frozen=True)
class CandidateState:
    """How far the candidate is in one server.

    `rows_per_s` is what one replica of it can score, as measured when it proved itself; 0: unknown.
    """

    state: Loaded
    reason: str = ""
    isolated: bool = False
    rows_per_s: float = 0.0


@dataclass(frozen=True)
class RolloutReport:
    """A server's part of its report.

    `plan` is the rollout of its table; `n_rows` were answered since the last report; `counts` has
    one entry for each phase. `out` names the run (State.id) in which this server knows that the
    candidate was put out; a coordinator that has forgotten it, or could not write it, learns it
    again. `config_error`: why the newest table is not in force here; empty when it is. `out_alone`
    names the run in which it gives the candidate nothing by its own decision, while it heard no
    coordinator: that is for the coordinator to judge.
    """

    plan: Rollout | None
    candidate: CandidateState
    n_rows: int
    counts: tuple[Counts, ...]
    out: str = ""
    config_error: str = ""
    out_alone: str = ""


@dataclass(frozen=True)
class Orders:
    """What the candidate gets in this phase of this run.

    `rollout` is Rollout.id; `run` is State.id, the salt of the assignment. `is_out`: it was put out
    in this run, and gets nothing any more.
    """

    rollout: str
    run: str
    phase: int
    percent: float
    shadow: bool
    is_out: bool = False

    def without_share(self) -> "Orders":
        """Return the same with the candidate out."""
        return replace(self, percent=0.0, shadow=False, is_out=True)

    def withheld(self) -> "Orders":
        """Return the same with nothing for the candidate, which may get it yet in this run."""
        return replace(self, percent=0.0, shadow=False)

    def takes_away_from(self, other: "Orders") -> bool:
        """Tell whether the candidate gets less by these, or is out in whichever run."""
        is_less = self.run == other.run and self.percent < other.percent
        return self.is_out or is_less


def orders_of(rollout: str, state: State, *, is_out: bool = False) -> Orders:
    """Return what servers should do in this state, or when the candidate is out all the same."""
    is_out = is_out or state.status in OUT
    percent, shadow = (0.0, False) if is_out else weights(state)
    return Orders(rollout, state.id, state.phase, percent, shadow, is_out)


def written_orders(log: Log, rollout: str) -> Orders:
    """Return what a server should do that hears no coordinator, by the log. Raises RolloutError."""
    state = fold(log.read())
    return orders_of(rollout, state, is_out=state.run in log.ordered_out)


def order_out(log: Log, plan: Rollout, by: str, reason: str) -> None:
    """Leave the order next to the log that the candidate is out, unless the log says so already.

    Servers that hear no coordinator follow it, and the next coordinator writes it into the log; and
    a higher run that the file asks for, which that one would begin, is out too. Raises
    RolloutError.
    """
    state = fold(log.read())
    out = Out(by, reason or "out", BY_A_PERSON)
    if state.run and state.status not in OUT:
        log.order_out(state.run, out)
    if plan.run > state.run:
        log.order_out(plan.run, out)


@dataclass(frozen=True)
class RolloutReply:
    """The coordinator's part of its reply.

    Not known, since it has just started: go on as before. Known and no orders: stable answers
    everybody, for there is no rollout, or nobody can read how far it is.
    """

    known: bool
    orders: Orders | None = None
