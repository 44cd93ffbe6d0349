"""What a rollout does next: pure functions of state, plan, time and facts; nothing is read here.

The coordinator, with `log` of log.py: once `log.claim(lambda events: claim(fold(events), plan), now_s)`, then each
second `decide(fold(log.events), plan, now_s, facts)`, and a Draft that comes back goes to `log.append`. A draft that
takes share away may be put in force before it is written; one that gives share only when it is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from serve_app.errors import CommandRefused
from serve_app.rollout.event import Draft, Kind, Share, finite
from serve_app.rollout.state import DONE, MOVING, POSSIBLE, STOPPED, State, Status, moved
from serve_app.settings import Rollout

Action = Literal["pause", "resume", "promote", "abort", "rollback", "start"]
COMMANDS: Mapping[Action, tuple[Kind, frozenset[Status]]] = {
    "pause": ("paused", POSSIBLE["paused"]),  # stay at this share; the judge still watches
    "resume": (
        "resumed",
        POSSIBLE["resumed"],
    ),  # go on at this step; what held it is accepted for this run
    "promote": ("promoted", POSSIBLE["promoted"]),  # 100 % as soon as the candidate is ready for it
    "abort": ("aborted", POSSIBLE["aborted"]),  # 0 % now
    "rollback": ("rolled_back", POSSIBLE["rolled_back"]),  # after 100 %: stable is back now
    "start": ("started", DONE),  # from the first step, as another run
}
END = "end of the plan"  # the cause of a hold after a last step below 100 %


@dataclass(frozen=True)
class Readiness:
    """Whether the candidate can take `share`: loaded in every replica or, isolated, with the replicas for it."""

    share: Share
    state: Literal[
        "ready", "missing", "refused"
    ]  # refused: it does not accept the contract, and never will
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the judge says of a phase; `wait`: it cannot tell yet. A fail counts at any time, the others at the end."""

    outcome: Literal["pass", "wait", "hold", "fail"]
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    cause: str = (
        "judge"  # of a hold: the same word each time, for it is what a person accepts by resuming
    )


@dataclass(frozen=True)
class Facts:
    """What is known now. Counts and verdict are those of `phase`, and count for nothing when that is another's."""

    readiness: Readiness
    phase: int
    stable_requests: int
    candidate_requests: int  # in shadow: pairs, which both have scored
    verdict: Verdict


@dataclass(frozen=True)
class Wait:
    """Nothing to decide yet, and why."""

    reason: str


def next_step(state: State, plan: Rollout) -> tuple[int, Share] | None:
    """The step after this one and its share, which `Facts.readiness` must be about; None when there is none."""
    if state.status not in MOVING | STOPPED:
        return None
    if state.promoted:
        return len(plan.steps) - (plan.steps[-1] == 100), 100.0
    index = 0 if state.step is None else state.step + 1
    return (index, plan.steps[index]) if index < len(plan.steps) else None


def actions(state: State) -> tuple[Action, ...]:
    """The commands that a person can give now."""
    useless = "resume" if state.cause == END else "promote" if state.promoted else ""
    return tuple(
        name for name, (_, within) in COMMANDS.items() if state.status in within and name != useless
    )


def claim(state: State, plan: Rollout) -> Draft:
    """A coordinator takes over. The counts of the one before are gone: what is being judged begins a new phase."""
    return _draft(
        state, plan, "claimed", "coordinator", "a coordinator started", run=state.run or plan.run
    )


def command(
    state: State,
    plan: Rollout,
    action: Action,
    by: str,
    reason: str = "",
    facts: Facts | None = None,
) -> Draft:
    """A person's command. Raises CommandRefused with the commands that are possible now."""
    if action not in actions(state):
        raise CommandRefused(
            f"{action}: the rollout is {state.status} ({state.reason}); possible now: {', '.join(actions(state))}"
        )
    accepted = f", {state.cause} accepted" if action == "resume" and state.cause else ""
    kind, run = COMMANDS[action][0], state.run + (action == "start")
    return _draft(state, plan, kind, by, reason or f"{action}{accepted}", facts, run=run)


def decide(state: State, plan: Rollout, now_s: float, facts: Facts) -> Draft | Wait:
    """The next event, or what is waited for. The same arguments always give the same answer."""
    if plan.run > state.run:
        return _draft(
            state, plan, "started", "file", f"the file asks for run {plan.run}", run=plan.run
        )
    if state.status in DONE:
        return Wait(state.reason)
    if facts.readiness.state == "refused":
        return _draft(
            state, plan, "aborted", "coordinator", f"refused: {facts.readiness.reason}", facts
        )
    if _is_of(facts, state) and facts.verdict.outcome == "fail":
        return _draft(state, plan, "aborted", "judge", facts.verdict.reason, facts)
    if state.status in STOPPED:
        return Wait(f"{state.status} by {state.by}: {state.reason}")
    if state.status == "baking":
        return _bake(state, plan, now_s - state.step_began_s)
    if (
        state.status == "running"
        and not state.promoted
        and (found := _judge(state, plan, now_s, facts))
    ):
        return found
    return _enter(state, plan, facts)


def _judge(state: State, plan: Rollout, now_s: float, facts: Facts) -> Draft | Wait | None:
    """What keeps a rollout in its step; None when it may go on."""
    verdict, passed_s = facts.verdict, now_s - state.phase_began_s
    if not _is_of(facts, state):
        return Wait(f"no counts of phase {state.phase} yet")
    if passed_s < plan.min_seconds:
        return Wait(f"{_named(state.share)}: {passed_s:.0f} of {plan.min_seconds} s")
    if facts.candidate_requests < plan.min_requests:
        return Wait(
            f"{_named(state.share)}: {facts.candidate_requests} of {plan.min_requests} requests"
        )
    if verdict.outcome == "wait":
        return Wait(f"{_named(state.share)}: {verdict.reason}")
    if verdict.outcome == "hold" and verdict.cause not in state.accepted:
        return _draft(state, plan, "held", "judge", verdict.reason, facts, cause=verdict.cause)
    return None


def _enter(state: State, plan: Rollout, facts: Facts) -> Draft | Wait:
    """The next step, once the candidate is ready for it."""
    if (to := next_step(state, plan)) is None:
        reason = f"the plan ends at {_named(state.share)}: promote or abort"
        return _draft(state, plan, "held", "coordinator", reason, facts, cause=END)
    if facts.readiness.share != to[1]:
        return Wait(f"{_named(to[1])}: not known yet whether {plan.candidate} is ready for it")
    if facts.readiness.state != "ready":
        return Wait(f"{_named(to[1])} waits for {plan.candidate}: {facts.readiness.reason}")
    if state.promoted:
        return _draft(state, plan, "entered", state.by, f"promoted: {state.reason}", facts, to=to)
    if state.step is None:
        return _draft(state, plan, "entered", "coordinator", f"{plan.candidate} is ready", to=to)
    return _draft(state, plan, "entered", "judge", facts.verdict.reason, facts, to=to)


def _bake(state: State, plan: Rollout, passed_s: float) -> Draft | Wait:
    """After 100 % stable stays loaded for a while."""
    if passed_s < plan.bake_seconds:
        return Wait(
            f"100 %: {passed_s:.0f} of {plan.bake_seconds} s in which {plan.stable} can be brought back at once"
        )
    reason = f'done: write `stable: "{plan.candidate}"` and take `rollout` and {plan.stable} out of the file'
    return _draft(state, plan, "finished", "coordinator", reason)


def _draft(
    state: State, plan: Rollout, kind: Kind, by: str, reason: str, facts: Facts | None = None,
    *, run: int | None = None, to: tuple[int, Share] | None = None, cause: str = "",
) -> Draft:  # fmt: skip
    step, share, phase = moved(state, kind, to)
    numbers: dict[str, float | None] = {}
    if facts is not None and _is_of(facts, state):
        counts = {
            "stable_requests": facts.stable_requests,
            "candidate_requests": facts.candidate_requests,
        }
        numbers = finite({**counts, **facts.verdict.numbers})
    return Draft(
        seq=state.seq + 1, rollout=plan.id, run=run or state.run, kind=kind, step=step, share=share, phase=phase,
        by=by, reason=reason, cause=cause, numbers=numbers,
    )  # fmt: skip


def _is_of(facts: Facts, state: State) -> bool:
    """Whether counts and verdict are of the phase that is being judged."""
    return state.step is not None and facts.phase == state.phase


def _named(share: Share) -> str:
    return share if isinstance(share, str) else f"{share:g} %"
