"""What a rollout does next: pure functions of state, plan, time and facts.

The coordinator claims its log (log.py) with `claim` once, then asks `decide` at each look, and
hands a Draft that comes back to `log.append`. A draft that takes share away may be put in force
before it is written; one that gives share only when it is written. What a person commands stands in
command.py.
"""

from serve_app.rollout.event import Draft, Kind, Out, Share, finite
from serve_app.rollout.facts import Facts, Wait
from serve_app.rollout.recent import LAST_S
from serve_app.rollout.state import DONE, MOVING, POSSIBLE, STOPPED, State, moved
from serve_app.settings import Rollout

# The cause of a hold after a last step below 100 %.
END = "end of the plan"
# A candidate must not stay in a step because nobody counts long enough.
MOST_CLAIMS = 5
RESTARTS = "restarts"


def next_step(state: State, plan: Rollout) -> tuple[int, Share] | None:
    """Return the step after this one and its share; None when there is none.

    `Facts.readiness` must be about this share.
    """
    if state.status not in MOVING | STOPPED:
        return None
    n_steps = len(plan.steps)
    if state.promoted:
        # A plan that ends below 100 % has no such step: it is one beyond the last.
        ends_at_100 = plan.steps[-1] == 100
        return (n_steps - 1 if ends_at_100 else n_steps), 100.0
    index = 0 if state.step is None else state.step + 1
    if index >= n_steps:
        return None
    return index, plan.steps[index]


def claim(state: State, plan: Rollout) -> Draft:
    """Draft the event with which a coordinator takes over.

    The counts of the coordinator before are gone: what is being judged begins another phase.
    """
    run = state.run or plan.run
    return draft_of(state, plan, "claimed", "coordinator", "a coordinator started", run=run)


def put_out(state: State, plan: Rollout, out: Out, facts: Facts) -> Draft | None:
    """Draft what takes all share from the candidate; None when the log says so already."""
    kind: Kind
    if state.status in POSSIBLE["aborted"] and state.status != "baking":
        kind = "aborted"
    elif state.status in POSSIBLE["rolled_back"]:
        kind = "rolled_back"
    else:
        return None
    return draft_of(state, plan, kind, out.by, out.reason, facts, cause=out.cause)


def decide(state: State, plan: Rollout, now_s: float, facts: Facts) -> Draft | Wait:
    """Return the next event, or what is waited for.

    The same arguments always give the same answer.
    """
    if plan.run > state.run:
        reason = f"the file asks for run {plan.run}"
        return draft_of(state, plan, "started", "file", reason, run=plan.run)
    if state.status in DONE:
        return Wait(doubt(state, facts) or state.reason)
    if facts.readiness.state == "refused":
        reason = f"refused: {facts.readiness.reason}"
        return draft_of(state, plan, "aborted", "coordinator", reason, facts, cause="refused")
    if _is_of(facts, state) and facts.verdict.outcome == "fail":
        kind: Kind = "rolled_back" if state.status == "baking" else "aborted"
        said = facts.verdict
        return draft_of(state, plan, kind, "judge", said.reason, facts, cause=said.cause)
    if state.status in STOPPED:
        return Wait(f"{state.status} by {state.by}: {state.reason}")
    if state.status == "baking":
        return _bake(state, plan, now_s, facts)
    is_in_a_hurry = state.promoted or state.stepping
    if state.status == "running" and not is_in_a_hurry:
        kept = _judge(state, plan, now_s, facts)
        if kept is not None:
            return kept
    return _enter(state, plan, facts)


def _judge(state: State, plan: Rollout, now_s: float, facts: Facts) -> Draft | Wait | None:
    """Return what keeps a rollout in its step; None when it may go on."""
    if state.n_claims >= MOST_CLAIMS and RESTARTS not in state.accepted:
        reason = (
            f"{state.n_claims} coordinators have begun to count again in this step: what was seen "
            "before is lost each time; a person decides"
        )
        return draft_of(state, plan, "held", "coordinator", reason, facts, cause=RESTARTS)
    if not _is_of(facts, state):
        return Wait(f"no counts of phase {state.phase} yet")
    share = _named(state.share)
    passed_s = now_s - state.phase_began_s
    if passed_s < plan.min_seconds:
        return Wait(f"{share}: {passed_s:.0f} of {plan.min_seconds} s")
    if facts.candidate_requests < plan.min_requests:
        return Wait(f"{share}: {facts.candidate_requests} of {plan.min_requests} requests")
    verdict = facts.verdict
    if verdict.outcome == "wait":
        return Wait(f"{share}: {verdict.reason}")
    if verdict.outcome == "hold" and verdict.cause not in state.accepted:
        return draft_of(state, plan, "held", "judge", verdict.reason, facts, cause=verdict.cause)
    return None


def _enter(state: State, plan: Rollout, facts: Facts) -> Draft | Wait:
    """Enter the next step, once the candidate is ready for it."""
    following = next_step(state, plan)
    if following is None:
        reason = f"the plan ends at {_named(state.share)}: promote or abort"
        return draft_of(state, plan, "held", "coordinator", reason, facts, cause=END)
    _, share = following
    if facts.readiness.share != share:
        return Wait(f"{_named(share)}: not known yet whether {plan.candidate} is ready for it")
    if facts.readiness.state != "ready":
        return Wait(f"{_named(share)} waits for {plan.candidate}: {facts.readiness.reason}")
    if state.promoted:
        by = state.by
        reason = f"promoted: {state.reason}"
    elif state.stepping:
        by = state.by
        reason = f"stepped: {state.reason}"
    elif state.step is None:
        by = "coordinator"
        reason = f"{plan.candidate} is ready"
    else:
        by = "judge"
        reason = facts.verdict.reason
    return draft_of(state, plan, "entered", by, reason, facts, entered=following)


def doubt(state: State, facts: Facts) -> str:
    """Return why a candidate that has baked must not be made stable now; empty: nothing is known.

    Nothing is judged any more when a rollout has finished, and the advice was good at that time.
    """
    outcome = facts.verdict.outcome
    if state.status != "finished" or not _is_of(facts, state) or outcome == "pass":
        return ""
    advice = "fails now, do not make it stable"
    if outcome != "fail":
        advice = "hold" if outcome == "hold" else "do not make it stable yet"
    return f"{advice}: {facts.verdict.reason}"


def _bake(state: State, plan: Rollout, now_s: float, facts: Facts) -> Draft | Wait:
    """Keep stable loaded for a while after 100 %, and until the last minute was sound."""
    passed_s = now_s - state.step_began_s
    if passed_s < plan.bake_seconds:
        return Wait(
            f"100 %: {passed_s:.0f} of {plan.bake_seconds} s in which {plan.stable} "
            f"can be brought back at once{_forgotten(state)}"
        )
    # A coordinator that has just started has not seen it.
    seen_s = now_s - state.phase_began_s
    least_s = min(plan.bake_seconds, LAST_S)
    if seen_s < least_s:
        passed = f"{seen_s:.0f} of {least_s:.0f} s"
        return Wait(f"100 %: {passed} in which it is looked at again{_forgotten(state)}")
    if _is_of(facts, state) and facts.verdict.outcome in ("wait", "hold"):
        return Wait(f"100 %: {facts.verdict.reason}")
    reason = (
        f'done: write `stable: "{plan.candidate}"` and take `rollout` and {plan.stable} '
        "out of the file"
    )
    return draft_of(state, plan, "finished", "coordinator", reason)


def _forgotten(state: State) -> str:
    """Say that nobody has looked at all traffic for long; nothing where the coordinator lives."""
    if state.n_claims < MOST_CLAIMS:
        return ""
    return (
        f"; {state.n_claims} coordinators have begun to count again since then, so that it is "
        "hardly judged: see why they end"
    )


def draft_of(
    state: State,
    plan: Rollout,
    kind: Kind,
    by: str,
    reason: str,
    facts: Facts | None = None,
    *,
    run: int | None = None,
    entered: tuple[int, Share] | None = None,
    cause: str = "",
) -> Draft:
    """Draft an event of this kind: where it leads, who says so and why, and the evidence."""
    step, share, phase = moved(state, kind, entered)
    return Draft(
        seq=state.seq + 1,
        rollout=plan.id,
        run=run or state.run,
        kind=kind,
        step=step,
        share=share,
        phase=phase,
        by=by,
        reason=reason,
        cause=cause,
        numbers=_numbers(state, facts),
    )


def _numbers(state: State, facts: Facts | None) -> dict[str, float | None]:
    """Return what is written into an event as its evidence; nothing that is of another phase."""
    if facts is None or not _is_of(facts, state):
        return {}
    counts = {
        "stable_requests": facts.stable_requests,
        "candidate_requests": facts.candidate_requests,
    }
    return finite({**counts, **facts.verdict.numbers})


def _is_of(facts: Facts, state: State) -> bool:
    """Tell whether counts and verdict are of the phase that is being judged."""
    return state.step is not None and facts.phase == state.phase


def _named(share: Share) -> str:
    return share if isinstance(share, str) else f"{share:g} %"
