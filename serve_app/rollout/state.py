"""How far a rollout is: its events folded into one state. Pure; the log is the truth, this is how to read it.

In: waiting → running → baking (at 100 %) → finished; running may be paused or held, which keeps the share. Out:
aborted, or rolled back from 100 %. The share rises by `entered` alone, and falls by `aborted`, `rolled_back` and
`started` alone. Only a person leads out of what is over: by `start`, or by a higher `run` in the file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from serve_app.errors import RolloutError
from serve_app.rollout.event import MEND, Event, Kind, Share

Status = Literal[
    "waiting", "running", "paused", "held", "baking", "aborted", "finished", "rolled_back"
]

ALL: frozenset[Status] = frozenset(get_args(Status))
DONE: frozenset[Status] = frozenset({"aborted", "finished", "rolled_back"})
STOPPED: frozenset[Status] = frozenset({"paused", "held"})
MOVING: frozenset[Status] = frozenset({"waiting", "running"})

POSSIBLE: Mapping[Kind, frozenset[Status]] = {
    "claimed": ALL,
    "started": ALL,
    "entered": MOVING,
    "paused": MOVING,
    "held": frozenset({"running"}),
    "resumed": STOPPED,
    "promoted": MOVING | STOPPED,
    "aborted": ALL - DONE,
    "finished": frozenset({"baking"}),
    "rolled_back": frozenset({"baking", "finished"}),
}


@dataclass(frozen=True)
class State:
    """How far a rollout is; of an empty or unreadable log `State()`, with which stable answers everybody."""

    seq: int = 0  # of the last event
    epoch: int = 0  # of the last claim
    rollout: str = ""
    run: int = 0
    status: Status = "waiting"
    step: int | None = (
        None  # place in Rollout.steps; one beyond them when promoted past a plan that ends below 100 %
    )
    share: Share = 0.0
    phase: int = (
        0  # stretch of evidence of this run: each entry into a step and each restart begins another
    )
    step_began_s: float = 0.0
    phase_began_s: float = 0.0
    promoted: bool = False  # a person wants 100 %; it is entered when the candidate is ready for it
    cause: str = ""  # of the hold
    accepted: tuple[str, ...] = ()  # causes of holds that a person resumed from in this run
    by: str = "coordinator"
    reason: str = "waits for its first step"

    @property
    def id(self) -> str:
        """This run of this rollout: the salt of traffic.assign. Servers count requests under it and the phase."""
        return f"{self.rollout}-run{self.run}"


def fold(events: Iterable[Event]) -> State:
    """The state after these events. Raises RolloutError at one that cannot follow those before it.

    What a writer left in the log after another had claimed it counts for nothing.
    """
    state = State()
    for event in events:
        if event.epoch < state.epoch:
            state = replace(state, seq=event.seq)
            continue
        if not _follows(state, event):
            raise RolloutError(
                f"event {event.seq} of {event.rollout}: found {event.kind} (run {event.run}, share {event.share}, "
                f"phase {event.phase}), which cannot follow {state.status} (run {state.run}, share {state.share}, "
                f"phase {state.phase}); {MEND}"
            )
        state = _after(state, event)
    return state


def weights(state: State) -> tuple[float, bool]:
    """(the candidate's percent of the routing keys, whether it is scored in shadow)."""
    return (0.0, True) if state.share == "shadow" else (state.share, False)


def moved(
    state: State, kind: Kind, to: tuple[int, Share] | None = None
) -> tuple[int | None, Share, int]:
    """(step, share, phase) after an event; `to` is the step and share that are entered."""
    if kind == "entered" and to is not None:
        return *to, state.phase + 1
    if kind == "started":
        return None, 0.0, 0
    if kind in ("aborted", "rolled_back"):
        return state.step, 0.0, state.phase
    judged = state.step is not None and state.status not in DONE
    return state.step, state.share, state.phase + (kind == "claimed" and judged)


def _follows(state: State, event: Event) -> bool:
    """Whether this event is one that a coordinator could have written in this state."""
    to = None
    if event.kind == "entered":
        if event.step is None or _height(event.step, event.share) <= _height(
            state.step, state.share
        ):
            return False
        to = event.step, event.share
    claims = event.epoch > state.epoch
    begins = event.kind == "started" or not state.seq
    return (
        state.status in POSSIBLE[event.kind]
        and claims == (event.kind == "claimed")
        and (event.run > state.run if begins else event.run == state.run)
        and (event.step, event.share, event.phase) == moved(state, event.kind, to)
    )


def _height(step: int | None, share: Share) -> float:
    """Shares in the order in which they are entered: none, shadow, percents."""
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
        phase_began_s=event.at_s if event.phase != state.phase else state.phase_began_s,
    )
    if event.kind == "claimed":  # changes who writes, not how far it is, nor why
        return known
    accepted = {"started": (), "resumed": (*state.accepted, state.cause)}.get(
        event.kind, state.accepted
    )
    return replace(
        known,
        status=_status(event),
        step_began_s=event.at_s if event.kind == "entered" else state.step_began_s,
        promoted=event.kind == "promoted",
        cause=event.cause,
        accepted=tuple(cause for cause in accepted if cause),
        by=event.by,
        reason=event.reason,
    )


def _status(event: Event) -> Status:
    """The status that an event leads to; a claim leads nowhere else."""
    match event.kind:
        case "started":
            return "waiting"
        case "entered":
            return "baking" if event.share == 100 else "running"
        case "paused" | "held" | "aborted" | "finished" | "rolled_back":
            return event.kind
        case _:  # resumed, promoted
            return "waiting" if event.step is None else "running"
