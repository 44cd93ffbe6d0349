"""Who holds the log of a rollout: this coordinator opens, claims, loses and writes it.

Every call waits for a store, in a thread, and raises nothing: `trouble` says what kept it.
"""

import asyncio
import logging
import math
from collections.abc import Callable

from serve_app.errors import Fenced, RolloutError
from serve_app.rollout.clock import SteadyClock
from serve_app.rollout.counted_before import n_begun
from serve_app.rollout.decide import claim
from serve_app.rollout.event import Draft
from serve_app.rollout.evidence import Record
from serve_app.rollout.log import Log
from serve_app.rollout.one_call import OneCall
from serve_app.rollout.ongoing import Ongoing, current
from serve_app.rollout.state import fold
from serve_app.settings import Rollout

logger = logging.getLogger(__name__)

# How often it is looked whether another coordinator has claimed the log.
CHECK_S = 5.0
# How long the log must be quiet before one that lost it claims it again: twice as long each time,
# or two clusters that both have clients would fill it.
RECLAIM_S = 60.0
MOST_DOUBLED = 6
# How long a store has to open a log. One that hangs must not keep servers waiting for their orders.
OPEN_TIMEOUT_S = 20.0


class Holder:
    """Opens logs by `open_log(id)`.

    What it returns is the rollout as the log has it then; `Ongoing.log.epoch` is 0 while another
    coordinator holds the log, or nobody does.
    """

    def __init__(self, open_log: Callable[[str], Log], clock: SteadyClock) -> None:
        self._open_log = open_log
        self._clock = clock
        # When another coordinator took the log, and when it was last looked whether one did.
        self._lost_s: float | None = None
        self._n_lost = 0
        self._checked_s = -math.inf
        self._opening = OneCall()
        self.trouble = ""

    async def open(self, plan: Rollout) -> Ongoing | None:
        """Read how far a rollout is; None when its log cannot be read."""
        try:
            log: Log = await self._opening.ask(
                plan.id, lambda: _read(self._open_log(plan.id)), OPEN_TIMEOUT_S
            )
            for event in log.events:
                self._clock.not_before(event.at_s)
            state = fold(log.events)
        except TimeoutError:
            self.trouble = f"the log of the rollout: no answer of its store in {OPEN_TIMEOUT_S:g} s"
            logger.error("rollout %s: %s", plan.id, self.trouble)
            return None
        except RolloutError as error:
            self.trouble = str(error)
            logger.error("rollout %s: %s", plan.id, error)
            return None
        self.trouble = ""
        self._lost_s = None
        self._n_lost = 0
        return current(plan, log, state, Record(state.id, n_begun(log.events)))

    def may_claim(self, ongoing: Ongoing, *, has_clients: bool) -> bool:
        """Whether the log is ours to hold: nobody has yet, or our servers have the clients.

        A second cluster that is started next to the first one, as at an upgrade, must not take the
        log from it before its clients come. Who has lost the log waits until the other is quiet.
        """
        if not ongoing.log.events:
            return True
        if not has_clients:
            return False
        if self._lost_s is None:
            return True
        quiet_since_s = max(self._lost_s, ongoing.log.events[-1].at_s)
        reclaim_s = RECLAIM_S * 2.0 ** min(self._n_lost - 1, MOST_DOUBLED)
        return self._clock() >= quiet_since_s + reclaim_s

    async def claim(self, ongoing: Ongoing) -> Ongoing:
        """Become the one writer of the log."""
        plan = ongoing.plan
        try:
            await asyncio.to_thread(
                ongoing.log.claim, lambda events: claim(fold(events), plan), self._clock()
            )
            state = fold(ongoing.log.events)
        except RolloutError as error:
            self.trouble = str(error)
            logger.error("rollout %s: %s", plan.id, error)
            return ongoing
        self.trouble = ""
        self._lost_s = None
        return current(plan, ongoing.log, state, ongoing.record)

    async def read_along(self, ongoing: Ongoing) -> Ongoing:
        """Follow what another coordinator writes."""
        try:
            events = await asyncio.to_thread(ongoing.log.read)
            return current(ongoing.plan, ongoing.log, fold(events), ongoing.record)
        except RolloutError as error:
            self.trouble = str(error)
            return ongoing

    async def check(self, ongoing: Ongoing) -> Ongoing:
        """Look now and then whether another coordinator has claimed the log."""
        if self._clock() < self._checked_s + CHECK_S:
            return ongoing
        self._checked_s = self._clock()
        try:
            is_held = await asyncio.to_thread(ongoing.log.is_held)
        except RolloutError as error:
            # The next write says it again, if it matters.
            logger.warning("rollout %s: %s", ongoing.state.id, error)
            return ongoing
        return (
            ongoing if is_held else self._lost(ongoing, "another coordinator has claimed the log")
        )

    async def write(self, ongoing: Ongoing, draft: Draft) -> tuple[Ongoing, str]:
        """Write an event; returns how far the rollout is then, and why it is not written."""
        try:
            await asyncio.to_thread(ongoing.log.append, draft, self._clock())
        except RolloutError as error:
            self.trouble = str(error)
            logger.error("rollout %s: %s", ongoing.state.id, error)
            if isinstance(error, Fenced):
                return self._lost(ongoing, str(error)), str(error)
            if ongoing.log.events[-1].seq < draft.seq:
                return ongoing, self.trouble
        # It is written; or the log has grown otherwise: an attempt that seemed lost came through,
        # or another coordinator has written.
        found = current(ongoing.plan, ongoing.log, fold(ongoing.log.events), ongoing.record)
        if not ongoing.log.epoch or ongoing.log.events[-1].kind != draft.kind:
            return found, self.trouble
        self.trouble = ""
        return found, ""

    def _lost(self, ongoing: Ongoing, why: str) -> Ongoing:
        self.trouble = why
        self._lost_s = self._clock()
        self._n_lost += 1
        return current(ongoing.plan, ongoing.log, fold(ongoing.log.events), ongoing.record)


def _read(log: Log) -> Log:
    log.read()
    return log
