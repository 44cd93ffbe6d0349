"""A rollout that a test drives event by event.

This is the coordinator's loop without a coordinator, a clock or a store.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, get_args

from serve_app.rollout.command import CommandName, command
from serve_app.rollout.decide import claim, decide, next_step
from serve_app.rollout.event import Draft, Event, Share
from serve_app.rollout.facts import Facts, Readiness, Verdict, Wait
from serve_app.rollout.state import State, Status, fold
from serve_app.settings import Rollout

PLAN = Rollout(
    stable="1.0.0", candidate="1.1.0", steps=("shadow", 5.0, 50.0, 100.0), bake_seconds=600
)
START_S = 1_800_000_000.0
STATUSES: tuple[Status, ...] = get_args(Status)


class Rolling:
    """One rollout.

    `tick` lets the judge speak, `order` gives a person's command, `restart` starts a new
    coordinator.
    """

    def __init__(self, plan: Rollout = PLAN) -> None:
        self.plan = plan
        self.now_s = START_S
        self.events: list[Event] = []
        self.epoch = 0
        self.restart()

    @property
    def state(self) -> State:
        """Fold all events, again each time."""
        return fold(self.events)

    def write(self, draft: Draft) -> Event:
        """Append a draft, as the log would."""
        at = datetime.fromtimestamp(self.now_s, UTC)
        self.events.append(
            Event(at=at, epoch=self.epoch, writer=f"writer-{self.epoch}", **dict(draft))
        )
        return self.events[-1]

    def restart(self) -> Event:
        """Let a new coordinator claim the log."""
        self.epoch += 1
        return self.write(claim(self.state, self.plan))

    def order(self, action: CommandName, reason: str = "", facts: Facts | None = None) -> Event:
        """Write the event that a person commands."""
        return self.write(command(self.state, self.plan, action, "ada", reason, facts))

    def facts(
        self,
        outcome: Literal["pass", "wait", "hold", "fail"] = "pass",
        *,
        requests: int = 300,
        readiness: Literal["ready", "missing", "refused"] = "ready",
        share: Share | None = None,
        phase: int | None = None,
        cause: str = "psi",
        numbers: Mapping[str, float] | None = None,
    ) -> Facts:
        """Return facts that let a step pass, unless said otherwise."""
        state = self.state
        if share is None:
            following = next_step(state, self.plan)
            share = following[1] if following else 0.0
        if phase is None:
            phase = state.phase
        if numbers is None:
            numbers = {"error_ratio": 1.1}
        return Facts(
            readiness=Readiness(share, readiness, f"candidate {readiness}"),
            phase=phase,
            stable_requests=9 * requests,
            candidate_requests=requests,
            verdict=Verdict(outcome, f"judge says {outcome}", numbers, cause),
        )

    def tick(self, passed_s: float = 300, facts: Facts | None = None) -> Event | Wait:
        """Let some time pass, then decide."""
        self.now_s += passed_s
        found = decide(self.state, self.plan, self.now_s, facts or self.facts())
        if isinstance(found, Wait):
            return found
        return self.write(found)


def rolling_in(status: Status, plan: Rollout = PLAN) -> Rolling:
    """Return a rollout that has come to this status, at 5 % where it has a share at all."""
    story = Rolling(plan)
    if status == "waiting":
        return story
    story.tick()
    story.tick()
    match status:
        case "paused":
            story.order("pause")
        case "held":
            story.tick(300, story.facts("hold"))
        case "aborted":
            story.order("abort")
        case "baking" | "finished" | "rolled_back":
            story.order("promote")
            story.tick()
            if status == "finished":
                story.tick(plan.bake_seconds)
            if status == "rolled_back":
                story.order("rollback")
        case _:
            pass
    return story
