"""The coordinator's end of a rollout, without Ray and HTTP.

Reports come in, orders go out, and what is decided goes to the log. Twice a second: which plan do
the servers agree on, is the candidate ready for its next share, what does the judge say, then
`decide`. Everything but the log's own calls runs on one event loop; those wait for a store, in a
thread.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serve_app.errors import CommandRefused, Fenced, NoRollout, NotReady, RolloutError
from serve_app.rollout import decide as plans
from serve_app.rollout.decide import Facts, Readiness, Verdict, Wait
from serve_app.rollout.event import Draft
from serve_app.rollout.evidence import Record, requests_of, stable_before
from serve_app.rollout.fleet import Fleet, IsolatedApplications
from serve_app.rollout.log import Log
from serve_app.rollout.orders import Orders, RolloutReply, RolloutReport
from serve_app.rollout.state import MOVING, State, fold, weights
from serve_app.rollout.verdict import verdict
from serve_app.settings import Rollout

logger = logging.getLogger(__name__)

LOOK_S = 0.5
# How long a new coordinator only listens: by then every server has reported.
LISTEN_S = 2.5
# How long it waits before a log that could not be held is tried again.
RETRY_S = 2.0
# The events that take all share from the candidate.
FALLING = ("aborted", "rolled_back")
NOTHING = Verdict("wait", "nothing is counted yet")


@dataclass(frozen=True)
class Ongoing:
    """A rollout whose log is held: how far it is, and the evidence of its run."""

    plan: Rollout
    log: Log
    state: State
    record: Record


class Controller:
    """One model's rollout; a part of the report.

    `open_log(id)` opens the log of a rollout; `isolated` tells of isolated versions; `clock` gives
    seconds since 1970. `trouble` says why the log cannot be read, written or held.
    """

    name = "rollout"

    def __init__(
        self,
        open_log: Callable[[str], Log],
        isolated: IsolatedApplications,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._open_log = open_log
        self._clock = clock
        self._not_before_s = clock() + LISTEN_S
        self._lock = asyncio.Lock()
        # An event that takes share away: it is in force, but the log does not say so yet.
        self._owed: Draft | None = None
        # Commands under way that take share away.
        self._n_urgent = 0
        self.fleet = Fleet(isolated)
        self.ongoing: Ongoing | None = None
        self.trouble = ""
        self.waits_for = ""

    def hear(self, server: str, taken: RolloutReport, *, is_new: bool) -> None:
        """Take in a server's report; its counts are added once."""
        self.fleet.hear(server, taken, is_new=is_new)
        if is_new and self.ongoing is not None:
            for counts in taken.counts:
                self.ongoing.record.add(counts, self._clock())

    def tell(self, server: str) -> RolloutReply:
        """What every server should do now."""
        orders = self.orders
        is_known = orders is not None or bool(self.trouble) or self.fleet.wants_none
        return RolloutReply(is_known, orders)

    @property
    def is_falling(self) -> bool:
        """Whether the candidate is being put out, and the log does not say so yet."""
        return self._owed is not None or self._n_urgent > 0

    @property
    def orders(self) -> Orders | None:
        """What servers should do now."""
        if self.ongoing is None:
            return None
        state = self.ongoing.state
        percent, shadow = weights(state)
        if self.is_falling:
            percent, shadow = 0.0, False
        return Orders(self.ongoing.plan.id, state.id, state.phase, percent, shadow)

    async def look_forever(self) -> None:
        """Look until cancelled; a fault in one look must not end the rest."""
        while True:
            try:
                await self.look()
            except Exception:
                logger.exception("a look at the rollout failed")
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Adopt the plan that the servers agree on, and decide what comes next."""
        async with self._lock:
            self.fleet.forget_silent()
            wanted = self.fleet.plan
            if wanted is not None:
                await self._adopt(wanted)
            elif self.fleet.wants_none:
                self.ongoing = None
                self.trouble = ""
                self.waits_for = ""
            if self.ongoing is not None:
                await self._decide(self.ongoing)

    async def command(self, action: plans.Action, by: str, reason: str) -> None:
        """A person's command. Raises CommandRefused, NoRollout or NotReady."""
        with self._at_once(action):
            await self._command(action, by, reason)

    @contextmanager
    def _at_once(self, action: plans.Action) -> Iterator[None]:
        """What takes share away does not wait for a look that waits for a slow store."""
        state = self.ongoing.state if self.ongoing else State()
        is_urgent = plans.COMMANDS[action][0] in FALLING and action in plans.actions(state)
        self._n_urgent += is_urgent
        try:
            yield
        finally:
            self._n_urgent -= is_urgent

    async def _command(self, action: plans.Action, by: str, reason: str) -> None:
        async with self._lock:
            ongoing = self._require()
            facts = self._facts(ongoing.state, ongoing.plan, ongoing.record)
            draft = plans.command(ongoing.state, ongoing.plan, action, by, reason, facts)
            failure = await self._write(ongoing, draft)
            if failure and self._owed:
                raise NotReady(f"In force, and written as soon as it can be: {failure}")
            if failure:
                raise NotReady(failure)

    def _require(self) -> Ongoing:
        if self.ongoing is None:
            if self.fleet.wants_none:
                raise NoRollout("The table of this server has no `rollout`.")
            raise NotReady(
                self.trouble or "The rollout is not known yet: no server has reported it."
            )
        if not self.ongoing.log.epoch:
            raise CommandRefused(self.trouble)
        if self._owed is not None:
            raise NotReady(f"The candidate is out, and the log must say so first: {self.trouble}")
        return self.ongoing

    async def _adopt(self, wanted: Rollout) -> None:
        """Hold the log of this plan. When it cannot be read, stable answers everybody."""
        held = self.ongoing
        if held is not None and held.plan == wanted:
            return
        # Another `run` of the same plan.
        if held is not None and held.plan.id == wanted.id:
            self.ongoing = Ongoing(wanted, held.log, held.state, held.record)
            return
        if self._clock() < self._not_before_s:
            return
        self.ongoing = None
        self._owed = None
        self._not_before_s = self._clock() + RETRY_S
        try:
            log = await asyncio.to_thread(self._open_log, wanted.id)
            now_s = self._clock()
            await asyncio.to_thread(
                log.claim, lambda events: plans.claim(fold(events), wanted), now_s
            )
            state = fold(log.events)
        except RolloutError as error:
            self.trouble = str(error)
            self.waits_for = "the log of the rollout; stable answers everybody"
            logger.error("rollout %s: %s", wanted.id, error)
            return
        self.trouble = ""
        n_claims = sum(event.kind == "claimed" and event.run == state.run for event in log.events)
        restarts = max(0, n_claims - 1) if state.run else 0
        record = Record(state.id, restarts, stable_before(log.events, state))
        self.ongoing = self._current(wanted, log, state, record)

    async def _decide(self, ongoing: Ongoing) -> None:
        """The next event, if it is time for one."""
        if not ongoing.log.epoch:
            await self._read_along(ongoing)
            return
        if self._owed is not None:
            await self._write(ongoing, self._owed)
            return
        facts = await self._asked_facts(ongoing)
        found = plans.decide(ongoing.state, ongoing.plan, self._clock(), facts)
        if isinstance(found, Wait):
            self.waits_for = found.reason
            return
        logger.info("rollout %s: %s: %s", ongoing.state.id, found.kind, found.reason)
        await self._write(ongoing, found)

    async def _read_along(self, ongoing: Ongoing) -> None:
        """Another coordinator holds the log: do what it says, and write nothing."""
        try:
            events = await asyncio.to_thread(ongoing.log.read)
            self.ongoing = self._current(ongoing.plan, ongoing.log, fold(events), ongoing.record)
        except RolloutError as error:
            self.trouble = str(error)

    async def _write(self, ongoing: Ongoing, draft: Draft) -> str:
        """Write an event into the log, then put it in force; returns why it is not written.

        What takes share away is in force before it is written.
        """
        if draft.kind in FALLING:
            self._owed = draft
        try:
            await asyncio.to_thread(ongoing.log.append, draft, self._clock())
        except RolloutError as error:
            self.trouble = str(error)
            logger.error("rollout %s: %s", ongoing.state.id, error)
            if not isinstance(error, Fenced) and ongoing.log.events[-1].seq < draft.seq:
                return self.trouble
        # It is written; or the log has grown otherwise: an attempt that seemed lost came through,
        # or another coordinator has written.
        self._owed = None
        self.ongoing = self._current(
            ongoing.plan, ongoing.log, fold(ongoing.log.events), ongoing.record
        )
        if not ongoing.log.epoch or ongoing.log.events[-1].kind != draft.kind:
            return self.trouble
        self.trouble = ""
        self.waits_for = ""
        return ""

    def _current(self, plan: Rollout, log: Log, state: State, record: Record) -> Ongoing:
        """With the evidence of the state's run and phase."""
        if record.run != state.id:
            record = Record(state.id)
        if state.step is not None:
            record.enter(state.phase, state.share)
        return Ongoing(plan, log, state, record)

    async def _asked_facts(self, ongoing: Ongoing) -> Facts:
        step = plans.next_step(ongoing.state, ongoing.plan)
        if step is not None and ongoing.state.status in MOVING:
            percent = 0.0 if step[1] == "shadow" else float(step[1])
            await self.fleet.ask_isolated(ongoing.plan.candidate, percent)
        return self._facts(ongoing.state, ongoing.plan, ongoing.record)

    def _facts(self, state: State, plan: Rollout, record: Record) -> Facts:
        step = plans.next_step(state, plan)
        share = step[1] if step else 100.0
        loaded, reason = self.fleet.readiness(plan)
        readiness = Readiness(share, loaded, reason)
        phase = record.phases.get(state.phase)
        if state.step is None or phase is None:
            return Facts(readiness, state.phase, 0, 0, NOTHING)
        return Facts(
            readiness,
            state.phase,
            *requests_of(phase),
            verdict(record, state.phase, plan, self._clock()),
        )
