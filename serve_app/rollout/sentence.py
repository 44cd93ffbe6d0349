"""What happens now, in one sentence: since when, why, what comes next and when at the earliest."""

from datetime import UTC, datetime

from serve_app.rollout.decide import END, next_step
from serve_app.rollout.event import Share
from serve_app.rollout.state import State
from serve_app.settings import Rollout

TIME = "%d %b %H:%M:%S UTC"


def sentence(
    state: State, plan: Rollout, since_s: float, waits_for: str, *, is_out: bool, doubt: str = ""
) -> str:
    """Say how far the rollout is; `since_s` is when its newest decision was made, since 1970.

    `is_out`: the candidate is out, though the log does not say so yet. `doubt`: why one that has
    baked must not be made stable now.
    """
    since = f"since {datetime.fromtimestamp(since_s, UTC):{TIME}}"
    if is_out:
        out = f"{plan.candidate} is out: {plan.stable} answers everybody."
        return f"{out} The log does not say so yet."
    match state.status:
        case "waiting":
            return f"{plan.stable} answers everybody: {plan.candidate} waits for its first step."
        case "running":
            return f"{_shares(plan, state.share)} {since}. {_next(state, plan, waits_for)}"
        case "paused" | "held":
            goes_on = "promote" if state.cause == END else "resume"
            return (
                f"{_shares(plan, state.share)}, and stays there {since}: {state.status} by "
                f"{state.by}, {state.reason}. `{goes_on}` goes on, `out` ends it."
            )
        case "baking":
            later = f" It is not done yet: {waits_for}." if waits_for else ""
            return (
                f"{plan.candidate} answers everybody {since}; until {_ends(state, plan)} it is "
                f"judged by what {plan.stable} did before, and `out` brings {plan.stable} back."
                f"{later}"
            )
        case "finished" if doubt:
            return f"{plan.candidate} answers everybody; {doubt}. `out` brings {plan.stable} back."
        case "finished":
            return (
                f"{plan.candidate} answers everybody, for good: write stable: "
                f'"{plan.candidate}" and take the rollout out of the file.'
            )
        case _:
            return (
                f"{plan.candidate} is out {since}: {state.reason} ({state.by}). {plan.stable} "
                "answers everybody. Correct it as a new version; `start`, or run: "
                f"{state.run + 1} in the file, tries this one again."
            )


def _shares(plan: Rollout, share: Share) -> str:
    if share == "shadow":
        return f"{plan.candidate} scores a copy of what {plan.stable} answers"
    return f"{plan.candidate} answers {share:g} % of the keys"


def _next(state: State, plan: Rollout, waits_for: str) -> str:
    following = next_step(state, plan)
    if following is None:
        return "It is the last step: a person promotes or ends it."
    _, share = following
    goal = "the shadow" if share == "shadow" else f"{share:g} %"
    waiting = f", and waits for {waits_for}" if waits_for else ""
    if state.promoted or state.stepping:
        return f"Next is {goal}, as {state.by} says{waiting}."
    earliest = f"{datetime.fromtimestamp(state.phase_began_s + plan.min_seconds, UTC):{TIME}}"
    return f"Next is {goal}, at {earliest} at the earliest{waiting}."


def _ends(state: State, plan: Rollout) -> str:
    return f"{datetime.fromtimestamp(state.step_began_s + plan.bake_seconds, UTC):{TIME}}"
