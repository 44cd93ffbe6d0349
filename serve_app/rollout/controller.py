"""The coordinator's end of a rollout, without Ray and HTTP.

Reports come in, orders go out, and what is decided goes to the log. Twice a second: which plan do
the servers agree on, is the candidate ready for its next share, what does the judge say, then
`decide`. Everything but the log's own calls runs on one event loop; those wait for a store, in a
thread.
"""

import asyncio
import logging
import math
from collections.abc import Callable

from serve_app.errors import Fenced, NoRollout, NotReady, RolloutError
from serve_app.rollout import decide as plans
from serve_app.rollout.clock import SteadyClock
from serve_app.rollout.decide import Facts, Wait
from serve_app.rollout.event import Draft
from serve_app.rollout.evidence import Record, stable_before
from serve_app.rollout.fleet import Fleet, IsolatedApplications
from serve_app.rollout.log import Log
from serve_app.rollout.ongoing import FORGOTTEN, Ongoing, Out, current, facts_of
from serve_app.rollout.orders import Orders, RolloutReply, RolloutReport, orders_of
from serve_app.rollout.state import DONE, MOVING, OUT, State, fold
from serve_app.settings import Rollout

logger = logging.getLogger(__name__)

LOOK_S = 0.5
# How long a new coordinator only listens: by then every server has reported.
LISTEN_S = 2.5
# How long it waits before a log that could not be held is tried again.
RETRY_S = 2.0
# How often it looks whether another coordinator has claimed the log.
CHECK_S = 5.0
# How long the log must be quiet before one that lost it claims it again.
RECLAIM_S = 60.0
# The events that take all share from the candidate.
FALLING = ("aborted", "rolled_back")


class Controller:
    """One model's rollout; a part of the report.

    `open_log(id)` opens the log of a rollout; `isolated` tells of isolated versions. `trouble` says
    why the log cannot be read, written or held.

    What takes share away is in force before it is written, and stays so: servers echo the run in
    which the candidate was put out, so that a coordinator that starts anew begins from there.
    """

    name = "rollout"

    def __init__(
        self,
        open_log: Callable[[str], Log],
        isolated: IsolatedApplications,
        clock: SteadyClock | None = None,
    ) -> None:
        self._open_log = open_log
        self._clock = clock or SteadyClock()
        self._not_before_s = self._clock() + LISTEN_S
        self._lock = asyncio.Lock()
        # Why the candidate is out, by run (State.id): in force whatever the log says, or whoever
        # holds it.
        self._out: dict[str, Out] = {}
        # The same, commanded before the run was known.
        self._wished_out: Out | None = None
        # When another coordinator took the log, and when it was last looked whether one did.
        self._fenced_s: float | None = None
        self._checked_s = -math.inf
        self.fleet = Fleet(isolated)
        self.ongoing: Ongoing | None = None
        self.trouble = ""
        self.waits_for = ""

    def hear(self, server: str, taken: RolloutReport, *, is_new: bool) -> None:
        """Take in a server's report; its counts are added once."""
        self.fleet.hear(server, taken, is_new=is_new)
        if taken.out:
            self._out.setdefault(taken.out, FORGOTTEN)
        if is_new and self.ongoing is not None:
            for counts in taken.counts:
                self.ongoing.record.add(counts, self._clock())

    def tell(self, server: str) -> RolloutReply:
        """What every server should do now."""
        orders = self.orders
        is_known = orders is not None or bool(self.trouble) or self.fleet.wants_none
        return RolloutReply(is_known, orders)

    @property
    def now_s(self) -> float:
        """Seconds since 1970, as the log's times."""
        return self._clock()

    @property
    def is_falling(self) -> bool:
        """Whether the candidate is out, and the log does not say so yet."""
        if self.ongoing is None:
            return False
        state = self.ongoing.state
        return state.id in self._out and state.status not in OUT

    @property
    def orders(self) -> Orders | None:
        """What servers should do now."""
        if self.ongoing is None:
            return None
        return orders_of(self.ongoing.plan.id, self.ongoing.state, is_out=self.is_falling)

    async def look_forever(self) -> None:
        """Look until cancelled; a fault in one look must not end the rest.

        A look may wait for a store that hangs. What the judge says is in force all the same.
        """
        looking: asyncio.Task[None] | None = None
        try:
            while True:
                self.watch()
                if looking is None or looking.done():
                    looking = asyncio.create_task(self._look_safely())
                await asyncio.sleep(LOOK_S)
        finally:
            if looking is not None:
                looking.cancel()

    async def _look_safely(self) -> None:
        try:
            await self.look()
        except Exception:
            logger.exception("a look at the rollout failed")

    def watch(self) -> None:
        """Put the candidate out as soon as the judge says so; waits for nothing."""
        ongoing = self.ongoing
        if ongoing is None or ongoing.state.status in DONE:
            return
        facts = facts_of(ongoing, self.fleet, self._clock())
        if facts.verdict.outcome == "fail":
            self._out.setdefault(ongoing.state.id, Out("judge", facts.verdict.reason))

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

    async def command(self, action: plans.CommandName, by: str, reason: str) -> None:
        """A person's command. Raises CommandRefused, NoRollout or NotReady."""
        if action == "out":
            await self._command_out(Out(by, reason or "out"))
            return
        state = self.ongoing.state if self.ongoing else State()
        if plans.COMMANDS[action][0] in FALLING and action in plans.actions(state):
            await self._command_out(Out(by, reason or action))
            return
        async with self._lock:
            ongoing = await self._held()
            facts = facts_of(ongoing, self.fleet, self._clock())
            draft = plans.command(ongoing.state, ongoing.plan, action, by, reason, facts)
            failure = await self._write(ongoing, draft)
            if failure:
                raise NotReady(failure)

    async def _command_out(self, out: Out) -> None:
        """In force at once, in every state; raises NotReady while it is not written."""
        if self.ongoing is None:
            if self.fleet.wants_none:
                raise NoRollout("The table of this server has no `rollout`.")
            # Stable answers everybody while the log cannot be read, and goes on to afterwards.
            self._wished_out = out
            raise NotReady(
                "In force, and written as soon as the log is known: "
                + (self.trouble or "the coordinator has just started")
            )
        self._out.setdefault(self.ongoing.state.id, out)
        async with self._lock:
            failure = await self._write_out(self.ongoing) if self.ongoing else ""
        if failure:
            raise NotReady(f"In force, and written as soon as it can be: {failure}")

    async def _write_out(self, ongoing: Ongoing) -> str:
        """Write that the candidate is out, if the log does not say so; why it is not written."""
        if not ongoing.log.epoch:
            await self._claim(ongoing)
            ongoing = self.ongoing or ongoing
        if not ongoing.log.epoch:
            return self.trouble
        out = self._out[ongoing.state.id]
        facts = facts_of(ongoing, self.fleet, self._clock())
        draft = plans.put_out(ongoing.state, ongoing.plan, out.by, out.reason, facts)
        return await self._write(ongoing, draft) if draft else ""

    async def _held(self) -> Ongoing:
        """Return the rollout whose log this coordinator holds: a person's command claims it."""
        if self.ongoing is None:
            if self.fleet.wants_none:
                raise NoRollout("The table of this server has no `rollout`.")
            raise NotReady(
                self.trouble or "The rollout is not known yet: no server has reported it."
            )
        if not self.ongoing.log.epoch:
            await self._claim(self.ongoing)
        if not self.ongoing.log.epoch:
            raise NotReady(self.trouble)
        if self.is_falling:
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
        self._not_before_s = self._clock() + RETRY_S
        try:
            log = await asyncio.to_thread(self._open_log, wanted.id)
            for event in await asyncio.to_thread(log.read):
                self._clock.not_before(event.at_s)
            state = fold(log.events)
        except RolloutError as error:
            self.trouble = str(error)
            self.waits_for = "the log of the rollout; stable answers everybody"
            logger.error("rollout %s: %s", wanted.id, error)
            return
        self.trouble = ""
        self._fenced_s = None
        if self._wished_out is not None:
            self._out.setdefault(state.id, self._wished_out)
            self._wished_out = None
        n_claims = sum(event.kind == "claimed" and event.run == state.run for event in log.events)
        record = Record(state.id, n_claims, stable_before(log.events, state))
        self.ongoing = current(wanted, log, state, record)

    def _may_claim(self, ongoing: Ongoing) -> bool:
        """Tell whether the log is ours to hold: nobody has yet, or our servers have the clients.

        A second cluster that is started beside the first one, as at an upgrade, must not take the
        log from it before its clients come. Who has lost the log waits until the other is quiet.
        """
        if not ongoing.log.events:
            return True
        if not self.fleet.has_clients:
            return False
        if self._fenced_s is None:
            return True
        last_s = max(self._fenced_s, ongoing.log.events[-1].at_s)
        return self._clock() >= last_s + RECLAIM_S

    async def _claim(self, ongoing: Ongoing) -> None:
        """Become the one writer of the log, or say in `trouble` why not."""
        plan = ongoing.plan
        try:
            await asyncio.to_thread(
                ongoing.log.claim, lambda events: plans.claim(fold(events), plan), self._clock()
            )
            state = fold(ongoing.log.events)
        except RolloutError as error:
            self.trouble = str(error)
            logger.error("rollout %s: %s", plan.id, error)
            return
        self.trouble = ""
        self._fenced_s = None
        self.ongoing = current(plan, ongoing.log, state, ongoing.record)

    async def _decide(self, ongoing: Ongoing) -> None:
        """The next event, if it is time for one."""
        if not ongoing.log.epoch:
            await self._read_along(ongoing)
            return
        if await self._is_fenced(ongoing):
            return
        if self.is_falling:
            self.waits_for = "the log, which must say that the candidate is out"
            await self._write_out(ongoing)
            return
        facts = await self._asked_facts(ongoing)
        found = plans.decide(ongoing.state, ongoing.plan, self._clock(), facts)
        if isinstance(found, Wait):
            self.waits_for = found.reason
            return
        logger.info("rollout %s: %s: %s", ongoing.state.id, found.kind, found.reason)
        await self._write(ongoing, found)

    async def _read_along(self, ongoing: Ongoing) -> None:
        """Do what the log says, which another coordinator holds, and write nothing."""
        if self._may_claim(ongoing):
            await self._claim(ongoing)
            return
        self.waits_for = "another coordinator, which holds the log: our servers have no clients"
        try:
            events = await asyncio.to_thread(ongoing.log.read)
            self.ongoing = current(ongoing.plan, ongoing.log, fold(events), ongoing.record)
        except RolloutError as error:
            self.trouble = str(error)

    async def _is_fenced(self, ongoing: Ongoing) -> bool:
        """Look now and then whether another coordinator has claimed the log."""
        if self._clock() < self._checked_s + CHECK_S:
            return False
        self._checked_s = self._clock()
        try:
            is_held = await asyncio.to_thread(ongoing.log.is_held)
        except RolloutError as error:
            # The next write says it again, if it matters.
            logger.warning("rollout %s: %s", ongoing.state.id, error)
            return False
        if not is_held:
            self._lost(ongoing, "another coordinator has claimed the log")
        return not is_held

    def _lost(self, ongoing: Ongoing, why: str) -> None:
        self.trouble = why
        self._fenced_s = self._clock()
        self.ongoing = current(ongoing.plan, ongoing.log, fold(ongoing.log.events), ongoing.record)

    async def _write(self, ongoing: Ongoing, draft: Draft) -> str:
        """Write an event into the log, then put it in force; returns why it is not written.

        What takes share away is in force before it is written.
        """
        if draft.kind in FALLING:
            self._out.setdefault(ongoing.state.id, Out(draft.by, draft.reason))
        try:
            await asyncio.to_thread(ongoing.log.append, draft, self._clock())
        except RolloutError as error:
            self.trouble = str(error)
            logger.error("rollout %s: %s", ongoing.state.id, error)
            if isinstance(error, Fenced):
                self._lost(ongoing, str(error))
                return self.trouble
            if ongoing.log.events[-1].seq < draft.seq:
                return self.trouble
        # It is written; or the log has grown otherwise: an attempt that seemed lost came through,
        # or another coordinator has written.
        self.ongoing = current(ongoing.plan, ongoing.log, fold(ongoing.log.events), ongoing.record)
        if not ongoing.log.epoch or ongoing.log.events[-1].kind != draft.kind:
            return self.trouble
        self.trouble = ""
        self.waits_for = ""
        return ""

    async def _asked_facts(self, ongoing: Ongoing) -> Facts:
        step = plans.next_step(ongoing.state, ongoing.plan)
        if step is not None and ongoing.state.status in MOVING:
            percent = 0.0 if step[1] == "shadow" else float(step[1])
            await self.fleet.ask_isolated(ongoing.plan.candidate, percent)
        return facts_of(ongoing, self.fleet, self._clock())
