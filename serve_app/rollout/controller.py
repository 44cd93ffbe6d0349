"""The coordinator's end of a rollout, without Ray and HTTP.

Twice a second: which plan do the servers agree on, is the candidate ready for its next share, what
does the judge say, then `decide`. Everything but the log's own calls, which wait for a store in a
thread, runs on one event loop.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from serve_app.errors import NoRollout, NotReady
from serve_app.rollout import command as commands
from serve_app.rollout import decide as plans
from serve_app.rollout.clock import SteadyClock
from serve_app.rollout.event import BY_A_PERSON, Draft, Out
from serve_app.rollout.facts import Facts, Wait
from serve_app.rollout.fleet import Fleet, IsolatedApplications
from serve_app.rollout.holder import Holder
from serve_app.rollout.label_verdict import Labelled
from serve_app.rollout.log import Log
from serve_app.rollout.notify import Notifier
from serve_app.rollout.ongoing import ALONE, FORGOTTEN, Ongoing, Outs, facts_of
from serve_app.rollout.orders import Orders, RolloutReply, RolloutReport, orders_of
from serve_app.rollout.state import DONE, MOVING, OUT, State, percent_of
from serve_app.settings import Rollout

logger = logging.getLogger(__name__)

# How long a new coordinator only listens: by then every server has reported.
LISTEN_S = 2.5
# For so long at most servers go on as before where they do not agree about the plan.
MOST_UNKNOWN_S = 60.0
# How long it waits before a log that could not be held is tried again.
RETRY_S = 2.0


class Controller:
    """One model's rollout; a part of the report.

    `open_log(id)` opens the log of a rollout; `isolated` tells of isolated versions; `notifier`
    tells the outside what is written; `labels` says what came true.

    What takes share away is in force before it is written, and stays so: servers echo the run in
    which the candidate was put out, so that a coordinator that starts again begins from there.
    """

    name = "rollout"

    def __init__(
        self,
        open_log: Callable[[str], Log],
        isolated: IsolatedApplications,
        clock: SteadyClock | None = None,
        notifier: Notifier | None = None,
        labels: Labelled | None = None,
    ) -> None:
        self._notifier = notifier
        self._labels = labels
        self._clock = clock or SteadyClock()
        self._holder = Holder(open_log, self._clock)
        self._not_before_s = self._clock() + LISTEN_S
        self._lock = asyncio.Lock()
        self._out = Outs()
        self._known_by_s = self._clock() + MOST_UNKNOWN_S
        self.fleet = Fleet(isolated)
        self.ongoing: Ongoing | None = None
        self.waits_for = ""

    def hear(self, server: str, taken: RolloutReport, *, is_new: bool) -> None:
        """Take in a server's report; its counts are added once."""
        self.fleet.hear(server, taken, is_new=is_new)
        if taken.out:
            self._out.put(taken.out, FORGOTTEN)
        if self.ongoing is None:
            return
        if self.fleet.are_out_alone(self.ongoing.state.id):
            self._out.put(self.ongoing.state.id, ALONE)
        for counts in taken.counts if is_new else ():
            self.ongoing.record.add(counts, self._clock(), server)

    def tell(self, server: str) -> RolloutReply:
        """What every server should do now; one that has decided by itself goes on for a while."""
        orders = self.orders
        gives = orders is not None and not orders.is_out
        if gives and self.fleet.waits_for_others(server):
            return RolloutReply(known=False)
        is_over = bool(self.trouble) or self.fleet.wants_none or self._clock() >= self._known_by_s
        return RolloutReply(orders is not None or is_over, orders)

    @property
    def trouble(self) -> str:
        """Why the log cannot be read, written or held; empty when it can."""
        return self._holder.trouble

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
        return state.id in self._out.by_run and state.status not in OUT

    @property
    def orders(self) -> Orders | None:
        """What servers should do now."""
        if self.ongoing is None:
            return None
        return orders_of(self.ongoing.plan.id, self.ongoing.state, is_out=self.is_falling)

    def stop(self) -> None:
        """Tell the outside no more."""
        if self._notifier is not None:
            self._notifier.stop()

    def watch(self) -> None:
        """Put the candidate out as soon as the judge says so; waits for nothing."""
        ongoing = self.ongoing
        if ongoing is None or ongoing.state.status in DONE:
            return
        said = self._facts(ongoing).verdict
        if said.outcome == "fail":
            self._out.put(ongoing.state.id, Out("judge", said.reason, said.cause))

    async def look(self) -> None:
        """Adopt the plan that the servers agree on, and decide what comes next."""
        async with self._lock:
            self.fleet.forget_silent()
            wanted = self.fleet.plan
            if wanted is not None:
                await self._adopt(wanted)
            elif self.fleet.wants_none:
                self.ongoing = None
                self._out.wished = None
                self._holder.trouble = ""
                self.waits_for = ""
            if self.ongoing is not None:
                self._out.heed_wish(self.ongoing)
                self._out.heed_order(self.ongoing)
                await self._decide(self.ongoing)
            # Also an event whose writing seemed to fail and came through.
            self._tell()

    async def command(self, action: commands.CommandName, by: str, reason: str) -> None:
        """A person's command. Raises CommandRefused, NoRollout or NotReady."""
        if action == "out":
            await self._command_out(Out(by, reason or "out", BY_A_PERSON))
            return
        state = self.ongoing.state if self.ongoing else State()
        if commands.COMMANDS[action][0] in OUT and action in commands.actions(state):
            await self._command_out(Out(by, reason or action, BY_A_PERSON))
            return
        async with self._lock:
            ongoing = await self._held()
            facts = self._facts(ongoing)
            draft = commands.command(ongoing.state, ongoing.plan, action, by, reason, facts)
            failure = await self._write(ongoing, draft)
            if failure:
                raise NotReady(failure)

    async def _command_out(self, out: Out) -> None:
        """In force at once, in every state; raises NotReady while it is not written."""
        if self.ongoing is None:
            if self.fleet.wants_none:
                raise NoRollout("The table of this server has no `rollout`.")
            plan = self.fleet.plan
            if plan is None:
                raise NotReady("It is not known yet which rollout the servers have.")
            # Stable answers everybody while the log cannot be read, and goes on to afterwards.
            self._out.wished = (plan.id, out)
            raise NotReady(
                "In force, and written as soon as the log is known: "
                + (self.trouble or "the coordinator has just started")
            )
        self._out.put(self.ongoing.state.id, out)
        failure = ""
        async with self._lock:
            if self.ongoing is not None:
                # While the lock was waited for, another run may have begun.
                self._out.put(self.ongoing.state.id, out)
                failure = await self._write_out(self.ongoing, out)
        if failure:
            raise NotReady(f"In force, and written as soon as it can be: {failure}")

    async def _write_out(self, ongoing: Ongoing, out: Out) -> str:
        """Write that the candidate is out, if the log does not say so; why it is not written."""
        if not ongoing.log.epoch:
            ongoing = await self._holder.read_along(ongoing)
            if ongoing.state.status not in OUT:
                ongoing = await self._holder.claim(ongoing)
            self.ongoing = ongoing
            # Whoever held the log may have begun another run.
            self._out.put(ongoing.state.id, out)
        if not ongoing.log.epoch:
            return "" if ongoing.state.status in OUT else self.trouble
        out = self._out.by_run[ongoing.state.id]
        facts = self._facts(ongoing)
        draft = plans.put_out(ongoing.state, ongoing.plan, out, facts)
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
            self.ongoing = await self._holder.claim(self.ongoing)
        if not self.ongoing.log.epoch:
            raise NotReady(self.trouble)
        if self.is_falling:
            raise NotReady(f"The candidate is out, and the log must say so first: {self.trouble}")
        return self.ongoing

    async def _adopt(self, wanted: Rollout) -> None:
        """Open the log of this plan. While it cannot be read, stable answers everybody."""
        known = self.ongoing
        if known is not None and known.plan == wanted:
            return
        # Another `run` of the same plan.
        if known is not None and known.plan.id == wanted.id:
            self.ongoing = replace(known, plan=wanted)
            return
        if self._clock() < self._not_before_s:
            return
        self._not_before_s = self._clock() + RETRY_S
        self.ongoing = None
        self.ongoing = await self._holder.open(wanted)
        if self.ongoing is None:
            self.waits_for = "the log of the rollout; stable answers everybody"

    async def _decide(self, ongoing: Ongoing) -> None:
        """The next event, if it is time for one."""
        if not ongoing.log.epoch:
            await self._go_along(ongoing)
            return
        self.ongoing = await self._holder.check(ongoing)
        if not self.ongoing.log.epoch:
            return
        if self.is_falling:
            self.waits_for = "the log, which must say that the candidate is out"
            await self._write_out(ongoing, self._out.by_run[ongoing.state.id])
            return
        facts = await self._asked_facts(ongoing)
        found = plans.decide(ongoing.state, ongoing.plan, self._clock(), facts)
        if isinstance(found, Wait):
            self.waits_for = found.reason
            return
        logger.info("rollout %s: %s: %s", ongoing.state.id, found.kind, found.reason)
        await self._write(ongoing, found)

    async def _go_along(self, ongoing: Ongoing) -> None:
        """Claim a log that nobody holds or that is ours to hold; else do what it says."""
        if ongoing.state.newer:
            self.waits_for = "the newer Sluice that wrote the log"
            self._holder.trouble = ongoing.state.reason
            self.ongoing = await self._holder.read_along(ongoing)
            return
        if self._has_to_write(ongoing) and self._holder.may_claim(
            ongoing, has_clients=self.fleet.has_clients
        ):
            self.ongoing = await self._holder.claim(ongoing)
            return
        self.waits_for = ongoing.state.reason
        if ongoing.state.status not in DONE:
            self.waits_for = "clients: another coordinator holds the log, or did before"
        self.ongoing = await self._holder.read_along(ongoing)

    def _has_to_write(self, ongoing: Ongoing) -> bool:
        """Tell whether a log that another may hold is of use: what is over needs no writer."""
        is_over = ongoing.state.status in DONE
        return not is_over or self.is_falling or ongoing.plan.run > ongoing.state.run

    async def _write(self, ongoing: Ongoing, draft: Draft) -> str:
        """Write an event, then put it in force; returns why it is not written.

        What takes share away is in force before it is written.
        """
        if draft.kind in OUT:
            self._out.put(ongoing.state.id, Out(draft.by, draft.reason, draft.cause))
        self.ongoing, failure = await self._holder.write(ongoing, draft)
        self._tell()
        if not failure:
            self.waits_for = ""
        return failure

    def _tell(self) -> None:
        if self._notifier is not None and self.ongoing is not None:
            self._notifier.tell(self.ongoing)

    def _facts(self, ongoing: Ongoing) -> Facts:
        run = ongoing.state.id
        if self._labels is not None and ongoing.state.step is not None:
            plan = ongoing.plan
            ratio = plan.guardrails.max_loss_ratio
            ongoing.record.labels = self._labels.labelled(run, plan.stable, plan.candidate, ratio)
        return facts_of(ongoing, self.fleet, self._clock())

    async def _asked_facts(self, ongoing: Ongoing) -> Facts:
        step = plans.next_step(ongoing.state, ongoing.plan)
        if step is not None and ongoing.state.status in MOVING:
            await self.fleet.ask_isolated(ongoing.plan.candidate, percent_of(step[1]))
        return self._facts(ongoing)
