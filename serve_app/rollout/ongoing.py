"""A rollout whose log is known here, and what is known of it at one moment."""

import logging
from dataclasses import dataclass, field, replace

from serve_app.rollout.counted_before import n_begun, stable_before
from serve_app.rollout.decide import next_step
from serve_app.rollout.event import Out
from serve_app.rollout.evidence import Record, requests_of
from serve_app.rollout.facts import Facts, Readiness, Verdict
from serve_app.rollout.fleet import Fleet
from serve_app.rollout.log import Log
from serve_app.rollout.state import State, percent_of
from serve_app.rollout.verdict import verdict
from serve_app.settings import Rollout

logger = logging.getLogger(__name__)

NOTHING = Verdict("wait", "nothing is counted yet")
FORGOTTEN = Out("coordinator", "it was put out before, which the log did not say yet", "forgotten")
ALONE = Out(
    "coordinator",
    "each server with clients put it out by itself while it heard no coordinator: it failed every "
    "request for ten seconds",
    "failing",
)


@dataclass(frozen=True)
class Ongoing:
    """A rollout whose log is held: how far it is, and the evidence of its run."""

    plan: Rollout
    log: Log
    state: State
    record: Record


@dataclass
class Outs:
    """Why the candidate is out, by run (State.id).

    It is in force whatever the log says, and whoever holds it. `wished`: of a rollout (Rollout.id)
    whose log is not known yet.
    """

    by_run: dict[str, Out] = field(default_factory=dict)
    wished: tuple[str, Out] | None = None

    def put(self, run: str, out: Out) -> None:
        """Put the candidate out in a run. Who did it first is the one that the log will name."""
        if self.by_run.get(run, FORGOTTEN) is FORGOTTEN:
            self.by_run[run] = out

    def heed_wish(self, ongoing: Ongoing) -> None:
        """Put out what a person wished out before the log was known, once it has a run."""
        if self.wished is None or not ongoing.state.run:
            return
        rollout, out = self.wished
        self.wished = None
        # Another plan may have come since, which nobody spoke of.
        if rollout == ongoing.plan.id:
            # The file may ask for another run, which would begin next.
            for run in {ongoing.state.run, ongoing.plan.run}:
                self.put(replace(ongoing.state, run=run).id, out)

    def heed_order(self, ongoing: Ongoing) -> None:
        """Put out what was ordered out next to the log while no coordinator answered."""
        ordered = ongoing.log.ordered_out.get(ongoing.state.run)
        if ordered is not None:
            self.put(ongoing.state.id, ordered)


def current(plan: Rollout, log: Log, state: State, record: Record) -> Ongoing:
    """Return the rollout in this state, with the evidence of its run and phase.

    Each claim and each run is judged by a part of alpha of its own. What stable did before 100 % is
    that of the log where this coordinator has not counted it: it may have read along until then.
    """
    if record.run != state.id:
        record = Record(state.id, n_begun(log.events))
    if log.epoch:
        # The last of those that have begun is this one.
        record.restarts = n_begun(log.events) - 1
    if state.share == 100 and not record.stable_before().requests["stable"]:
        record.before = stable_before(log.events, state)
    if state.step is not None:
        record.enter(state.phase, state.share)
    return Ongoing(plan, log, state, record)


def facts_of(ongoing: Ongoing, fleet: Fleet, now_s: float) -> Facts:
    """Return what `decide` must know, about the phase that is being judged and the next share.

    A judge that fails gives no share, and must not keep anybody from taking it away.
    """
    state = ongoing.state
    plan = ongoing.plan
    step = next_step(state, plan)
    share = step[1] if step else 100.0
    loaded, reason = fleet.readiness(plan, percent_of(share))
    readiness = Readiness(share, loaded, reason)
    phase = ongoing.record.phases.get(state.phase)
    if state.step is None or phase is None:
        return Facts(readiness, state.phase, 0, 0, NOTHING)
    try:
        said = verdict(ongoing.record, state.phase, plan, now_s, state.accepted)
    except Exception as error:
        logger.exception("the judge of rollout %s failed", state.id)
        reason = (
            f"the judge itself fails ({type(error).__name__}): the coordinator's log says where"
        )
        said = Verdict("wait", reason)
    return Facts(readiness, state.phase, *requests_of(phase), said)
