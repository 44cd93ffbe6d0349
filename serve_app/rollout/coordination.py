"""The coordinator of one model without Ray and HTTP: beats come in, orders go out, and what is decided goes to the log.

Each second: which plan do the servers agree on, is the candidate ready for its next share, what does the judge say,
then `plan.decide`. Everything but the log's own calls runs on one event loop; those wait for a store, in a thread.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from serve_app.errors import CommandRefused, Fenced, NoRollout, NotReady, RolloutError
from serve_app.rollout import plan as plans
from serve_app.rollout.beat import Beat, Orders, Reply
from serve_app.rollout.event import Draft
from serve_app.rollout.evidence import Record, requests_of
from serve_app.rollout.fleet import Apart, Fleet
from serve_app.rollout.log import Log
from serve_app.rollout.plan import Facts, Readiness, Verdict, Wait
from serve_app.rollout.state import MOVING, State, fold, weights
from serve_app.settings import Rollout

logger = logging.getLogger(__name__)

LOOK_S = 0.5
LISTEN_S = 2.5  # after its start: by then every server has reported
RETRY_S = 2.0  # before a log that could not be held is tried again
FALLING = ("aborted", "rolled_back")
NOTHING = Verdict("wait", "nothing is counted yet")


@dataclass(frozen=True)
class Course:
    """A rollout whose log is held: how far it is, and the evidence of its run."""

    plan: Rollout
    log: Log
    state: State
    record: Record


class Coordination:
    """One model's rollout. `open_log(id)` opens the log of a rollout; `apart` tells of isolated versions.

    `clock` gives seconds since 1970.
    """

    def __init__(self, open_log: Callable[[str], Log], apart: Apart, clock: Callable[[], float] = time.time) -> None:
        self._open_log = open_log
        self._clock = clock
        self._not_before_s = clock() + LISTEN_S
        self._lock = asyncio.Lock()
        self._falling = False  # the candidate is being put out, and the log does not say so yet
        self.fleet = Fleet(apart)
        self.course: Course | None = None
        self.trouble = ""  # why the log cannot be read, written or held
        self.waits_for = ""

    def hear(self, beat: Beat) -> Reply:
        """Take a server's report."""
        is_new = self.fleet.hear(beat)
        if is_new and self.course is not None:
            for tally in beat.tallies:
                self.course.record.add(tally)
        orders = self.orders
        return Reply(known=orders is not None or bool(self.trouble) or self.fleet.wants_none, orders=orders)

    @property
    def is_falling(self) -> bool:
        """Whether the candidate is being put out, and the log does not say so yet."""
        return self._falling

    @property
    def orders(self) -> Orders | None:
        """What servers shall do now."""
        if self.course is None:
            return None
        state = self.course.state
        percent, shadow = (0.0, False) if self._falling else weights(state)
        return Orders(self.course.plan.id, state.id, state.phase, percent, shadow)

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
                self.course, self.trouble, self.waits_for = None, "", ""
            if self.course is not None:
                await self._decide(self.course)

    async def command(self, action: plans.Action, by: str, reason: str) -> None:
        """A person's command. Raises CommandRefused, NoRollout or NotReady."""
        async with self._lock:
            course = self._require()
            facts = self._facts(course.state, course.plan, course.record)
            draft = plans.command(course.state, course.plan, action, by, reason, facts)
            if failure := await self._write(course, draft):
                raise NotReady(failure)

    def _require(self) -> Course:
        if self.course is None:
            if self.fleet.wants_none:
                raise NoRollout("The table of this server has no `rollout`.")
            raise NotReady(self.trouble or "The rollout is not known yet: no server has reported it.")
        if not self.course.log.epoch:
            raise CommandRefused(self.trouble)
        return self.course

    async def _adopt(self, wanted: Rollout) -> None:
        """Hold the log of this plan. When it cannot be read, stable answers everybody."""
        held = self.course
        if held is not None and held.plan == wanted:
            return
        if held is not None and held.plan.id == wanted.id:  # another `run` of the same plan
            self.course = Course(wanted, held.log, held.state, held.record)
            return
        if self._clock() < self._not_before_s:
            return
        self.course, self._falling = None, False
        self._not_before_s = self._clock() + RETRY_S
        try:
            log = await asyncio.to_thread(self._open_log, wanted.id)
            now_s = self._clock()
            await asyncio.to_thread(log.claim, lambda events: plans.claim(fold(events), wanted), now_s)
            state = fold(log.events)
        except RolloutError as error:
            self.trouble = str(error)
            self.waits_for = "the log of the rollout; stable answers everybody"
            logger.error("rollout %s: %s", wanted.id, error)
            return
        self.trouble = ""
        n_claims = sum(event.kind == "claimed" and event.run == state.run for event in log.events)
        restarts = max(0, n_claims - 1) if state.run else 0
        self.course = self._current(wanted, log, state, Record(state.id, restarts))

    async def _decide(self, course: Course) -> None:
        """The next event, if it is time for one."""
        if not course.log.epoch:
            await self._read_along(course)
            return
        facts = await self._asked_facts(course)
        found = plans.decide(course.state, course.plan, self._clock(), facts)
        if isinstance(found, Wait):
            self.waits_for = found.reason
            return
        logger.info("rollout %s: %s: %s", course.state.id, found.kind, found.reason)
        await self._write(course, found)

    async def _read_along(self, course: Course) -> None:
        """Another coordinator holds the log: do what it says, and write nothing."""
        try:
            events = await asyncio.to_thread(course.log.read)
            self.course = self._current(course.plan, course.log, fold(events), course.record)
        except RolloutError as error:
            self.trouble = str(error)

    async def _write(self, course: Course, draft: Draft) -> str:
        """Into the log, then in force; what takes share away is in force before. Returns why it is not written."""
        self._falling = self._falling or draft.kind in FALLING
        try:
            await asyncio.to_thread(course.log.append, draft, self._clock())
        except RolloutError as error:
            self.trouble = str(error)
            if isinstance(error, Fenced):
                self._falling = False
            logger.error("rollout %s: %s", course.state.id, error)
            return self.trouble
        self.trouble = ""
        self._falling = False
        self.course = self._current(course.plan, course.log, fold(course.log.events), course.record)
        return ""

    def _current(self, plan: Rollout, log: Log, state: State, record: Record) -> Course:
        """With the evidence of the state's run and phase."""
        if record.run != state.id:
            record = Record(state.id)
        if state.step is not None:
            record.enter(state.phase, state.share)
        return Course(plan, log, state, record)

    async def _asked_facts(self, course: Course) -> Facts:
        step = plans.next_step(course.state, course.plan)
        if step is not None and course.state.status in MOVING:
            percent = 0.0 if step[1] == "shadow" else float(step[1])
            await self.fleet.ask_apart(course.plan.candidate, percent)
        return self._facts(course.state, course.plan, course.record)

    def _facts(self, state: State, plan: Rollout, record: Record) -> Facts:
        step = plans.next_step(state, plan)
        share = step[1] if step else 100.0
        loaded, reason = self.fleet.readiness(plan)
        readiness = Readiness(share, loaded, reason)
        phase = record.phases.get(state.phase)
        if state.step is None or phase is None:
            return Facts(readiness, state.phase, 0, 0, NOTHING)
        return Facts(readiness, state.phase, *requests_of(phase), record.verdict(state.phase, plan))
