"""What a person can command in a rollout, and what each command writes: pure functions."""

from collections.abc import Mapping
from typing import Literal, get_args

from serve_app.errors import CommandRefused
from serve_app.rollout.decide import END, draft_of, next_step
from serve_app.rollout.event import BY_A_PERSON, Draft, Kind
from serve_app.rollout.facts import Facts
from serve_app.rollout.state import DONE, OUT, POSSIBLE, STEP, STOPPED, State, Status
from serve_app.settings import Rollout

Action = Literal["pause", "resume", "promote", "abort", "rollback", "start"]
ACTIONS: tuple[Action, ...] = get_args(Action)
# Two are not told in the view's `commands`, where clients that are there would not know them. `out`
# can be given in every state, and means 0 % now; `step` wherever there is another step.
CommandName = Literal["pause", "resume", "promote", "abort", "rollback", "start", "step", "out"]

# What each command writes into the log, and the statuses in which a person can give it.
COMMANDS: Mapping[CommandName, tuple[Kind, frozenset[Status]]] = {
    # Stay at this share; the judge still watches.
    "pause": ("paused", POSSIBLE["paused"]),
    # Go on at this step; what held the rollout is accepted for this run.
    "resume": ("resumed", STOPPED),
    # Go to the next step as soon as the candidate is ready for it.
    "step": ("resumed", POSSIBLE["resumed"]),
    # Go to 100 % as soon as the candidate is ready for it.
    "promote": ("promoted", POSSIBLE["promoted"]),
    # Go to 0 % now.
    "abort": ("aborted", POSSIBLE["aborted"]),
    # After 100 %, bring stable back now.
    "rollback": ("rolled_back", POSSIBLE["rolled_back"]),
    # Begin at the first step, as another run.
    "start": ("started", DONE),
}

# A log stays bounded, since a coordinator reads it whole: beyond it a person can only end a run.
MOST_COMMANDED = 1_000
FULL = "only `out` is taken now; another plan, as with another step, begins another log"


def actions(state: State) -> tuple[Action, ...]:
    """Return the commands that a person can give now."""
    possible: list[Action] = []
    for action in ACTIONS:
        _, statuses = COMMANDS[action]
        if state.status in statuses and not _is_useless(action, state):
            possible.append(action)
    return tuple(possible)


def can_step(state: State, plan: Rollout) -> bool:
    """Return whether a person can send the rollout to its next step."""
    if state.status not in POSSIBLE["resumed"] or state.stepping:
        return False
    return not state.promoted and next_step(state, plan) is not None


def _is_useless(action: Action, state: State) -> bool:
    """Tell whether a command would change nothing."""
    if state.cause == END:
        return action == "resume"
    return state.promoted and action == "promote"


def command(
    state: State,
    plan: Rollout,
    action: CommandName,
    by: str,
    reason: str = "",
    facts: Facts | None = None,
) -> Draft:
    """Draft what a person commands. Raises CommandRefused, which lists the possible commands."""
    possible = actions(state)
    is_step = action == "step" and can_step(state, plan)
    if action not in possible and not is_step:
        raise CommandRefused(
            f"{action}: the rollout is {state.status} ({state.reason}); "
            f"possible now: {', '.join(possible)}"
        )
    kind, _ = COMMANDS[action]
    if state.seq >= MOST_COMMANDED and kind not in OUT:
        raise CommandRefused(f"{action}: the log has {state.seq} decisions; {FULL}")
    if not reason:
        reason = action
        if action == "resume" and state.cause:
            reason = f"{action}, {state.cause} accepted"
    run = state.run + 1 if action == "start" else state.run
    cause = STEP if is_step else ""
    if kind in OUT:
        cause = BY_A_PERSON
    return draft_of(state, plan, kind, by, reason, facts, run=run, cause=cause)
