"""How far a rollout is: its events folded into one state.

The log is the truth, and this is how to read it; everything here is pure.

On its way in, a rollout is waiting, running, baking (at 100 %) and finished; while it is running it
may be paused or held, which keeps the share. On its way out it is aborted, or rolled back from
100 %. Only `entered` raises the share; only `aborted`, `rolled_back` and `started` lower it. Only a
person begins again what is over: by `start`, or by a higher `run` in the file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from serve_app.errors import RolloutError
from serve_app.rollout.event import REMEDY, Event, Kind, NewerEvent, Share

Status = Literal[
    "waiting", "running", "paused", "held", "baking", "aborted", "finished", "rolled_back"
]

ALL: frozenset[Status] = frozenset(get_args(Status))
DONE: frozenset[Status] = frozenset({"aborted", "finished", "rolled_back"})
# The events that take all share from the candidate, and the statuses after them.
FALLING: tuple[Literal["aborted", "rolled_back"], ...] = ("aborted", "rolled_back")
OUT: frozenset[Status] = frozenset(FALLING)
STOPPED: frozenset[Status] = frozenset({"paused", "held"})
MOVING: frozenset[Status] = frozenset({"waiting", "running"})

# The cause of a `resumed` that goes on to the next step at once: a person said so.
STEP = "step"

# The statuses in which each kind of event can come.
POSSIBLE: Mapping[Kind, frozenset[Status]] = {
    "claimed": ALL,
    "started": ALL,
    "entered": MOVING,
    "paused": MOVING,
    "held": frozenset({"running"}),
    # While it is running only with STEP.
    "resumed": STOPPED | {"running"},
    "promoted": MOVING | STOPPED,
    "aborted": ALL - DONE,
    "finished": frozenset({"baking"}),
    "rolled_back": frozenset({"baking", "finished"}),
}


@dataclass(frozen=True)
class State:
    """How far a rollout is.

    `State()` is the state of an empty or unreadable log: stable answers everybody. `seq` is that of
    the last event, `epoch` that of the last claim; `cause` is what held the rollout.
    """

    seq: int = 0
    epoch: int = 0
    rollout: str = ""
    run: int = 0
    status: Status = "waiting"
    # Place in Rollout.steps; one beyond them when promoted past a plan that ends below 100 %.
    step: int | None = None
    share: Share = 0.0
    # Stretch of evidence in this run: each entry into a step and each restart begins another.
    phase: int = 0
    step_began_s: float = 0.0
    # Coordinators that have begun to count again since this step began.
    n_claims: int = 0
    phase_began_s: float = 0.0
    # A person wants 100 %, which is entered when the candidate is ready for it.
    promoted: bool = False
    # A person wants the next step, whatever time, requests and holds say.
    stepping: bool = False
    cause: str = ""
    # Causes of holds that a person resumed from in this run.
    accepted: tuple[str, ...] = ()
    # The first event's kind that a newer Sluice wrote, and this one does not know.
    newer: str = ""
    by: str = "coordinator"
    reason: str = "waits for its first step"

    @property
    def id(self) -> str:
        """Name this run of this rollout.

        It is the salt of serving.assignment.assign; servers count under it and the phase.
        """
        return f"{self.rollout}-run{self.run}"


def fold(events: Iterable[Event]) -> State:
    """Return the state after these events.

    What a writer left in the log after another had claimed it counts for nothing. From an event on
    that a newer Sluice wrote, the share stays as it was last known, and only falls. Raises
    RolloutError at an event that cannot follow those before it.
    """
    state = State()
    for event in events:
        if event.epoch < state.epoch:
            state = replace(state, seq=event.seq)
            continue
        if state.newer or isinstance(event, NewerEvent):
            state = _beyond(state, event)
            continue
        if not _follows(state, event):
            raise RolloutError(
                f"event {event.seq} of {event.rollout}: found {event.kind} (run {event.run}, "
                f"share {event.share}, phase {event.phase}), which cannot follow {state.status} "
                f"(run {state.run}, share {state.share}, phase {state.phase}); {REMEDY}"
            )
        state = _after(state, event)
    return state


def weights(state: State) -> tuple[float, bool]:
    """Return the candidate's percent of the routing keys, and whether it is scored in shadow."""
    return percent_of(state.share), state.share == "shadow"


def percent_of(share: Share) -> float:
    """Return the percent of the routing keys that a share gives the candidate."""
    return 0.0 if share == "shadow" else share


def moved(
    state: State, kind: Kind, entered: tuple[int, Share] | None = None
) -> tuple[int | None, Share, int]:
    """Return (step, share, phase) after an event; `entered` is the step and share of an entry."""
    if kind == "entered" and entered is not None:
        step, share = entered
        return step, share, state.phase + 1
    if kind == "started":
        return None, 0.0, 0
    if kind in FALLING:
        return state.step, 0.0, state.phase
    is_judged = state.step is not None and state.status not in DONE
    if kind == "claimed" and is_judged:
        # The new coordinator does not have what the one before it counted.
        return state.step, state.share, state.phase + 1
    return state.step, state.share, state.phase


def _follows(state: State, event: Event) -> bool:
    """Tell whether a coordinator could have written this event in this state."""
    if state.status not in POSSIBLE[event.kind]:
        return False
    if event.kind == "resumed" and event.cause != STEP and state.status not in STOPPED:
        return False
    is_claim = event.kind == "claimed"
    if is_claim != (event.epoch > state.epoch):
        return False
    begins_run = event.kind == "started" or not state.seq
    if begins_run and event.run <= state.run:
        return False
    if not begins_run and event.run != state.run:
        return False
    entered = None
    if event.kind == "entered":
        if event.step is None:
            return False
        if _height(event.step, event.share) <= _height(state.step, state.share):
            return False
        entered = (event.step, event.share)
    return (event.step, event.share, event.phase) == moved(state, event.kind, entered)


def _beyond(state: State, event: Event) -> State:
    """Return the state after an event that a newer Sluice wrote, or that comes after one.

    Nobody here knows what else it changed; what takes share away is understood all the same.
    """
    newer = state.newer
    if isinstance(event, NewerEvent):
        newer = newer or event.newer_kind
    status = state.status
    if event.kind in FALLING:
        status = event.kind
    is_lower = percent_of(event.share) < percent_of(state.share)
    share = event.share if is_lower or event.share == 0 else state.share
    return replace(
        state,
        seq=event.seq,
        epoch=max(state.epoch, event.epoch),
        status=status,
        share=share,
        newer=newer,
        by=event.by,
        reason=f"a newer Sluice wrote {newer!r}, which is not known here: this one only reads on",
    )


def _height(step: int | None, share: Share) -> float:
    """Order shares as they are entered: none, shadow, percents."""
    if step is None:
        return -1.0
    return 0.0 if share == "shadow" else share


def _after(state: State, event: Event) -> State:
    known = replace(
        state,
        seq=event.seq,
        epoch=event.epoch,
        rollout=event.rollout,
        run=event.run,
        step=event.step,
        share=event.share,
        phase=event.phase,
    )
    if event.phase != state.phase:
        known = replace(known, phase_began_s=event.at_s)
    # A claim changes who writes, not how far the rollout is, nor why.
    if event.kind == "claimed":
        return replace(known, n_claims=known.n_claims + 1)
    if event.kind == "entered":
        known = replace(known, step_began_s=event.at_s, n_claims=0)
    return replace(
        known,
        status=_status(event),
        promoted=event.kind == "promoted",
        stepping=event.kind == "resumed" and event.cause == STEP,
        cause=event.cause if event.kind == "held" else "",
        accepted=_accepted(state, event),
        by=event.by,
        reason=event.reason,
    )


def _accepted(state: State, event: Event) -> tuple[str, ...]:
    """Return the causes of holds that are accepted after an event."""
    if event.kind == "started":
        return ()
    if event.kind == "resumed" and state.cause and event.cause != STEP:
        return (*state.accepted, state.cause)
    return state.accepted


def _status(event: Event) -> Status:
    """Return the status that an event leads to; a claim leads to none."""
    match event.kind:
        case "started":
            return "waiting"
        case "entered":
            return "baking" if event.share == 100 else "running"
        case "paused" | "held" | "aborted" | "finished" | "rolled_back":
            return event.kind
        # resumed, promoted
        case _:
            return "waiting" if event.step is None else "running"
