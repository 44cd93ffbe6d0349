"""A server's side of a rollout: once a second it reports to the coordinator and follows the orders that come back."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from serve_app.errors import BundleError, BundleUnavailable
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.counts import Counts
from serve_app.rollout.orders import Candidate, Reply, Report
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions
from serve_app.settings import Table

logger = logging.getLogger(__name__)

PERIOD_S = 1.0
ANSWER_TIMEOUT_S = 5.0
KEEP_S = 10.0  # how long a course that was left is still asked for counts: requests and shadows under way end in it


class Heartbeat:
    """Beats for one server. While the coordinator is away, the last orders stay in force and counts are kept."""

    def __init__(
        self,
        name: str,
        router: Router,
        versions: Versions,
        send: Callable[[Report], Awaitable[Reply]],
    ) -> None:
        self._name = name
        self._router = router
        self._versions = versions
        self._send = send
        self._seq = 0
        self._unsent: Report | None = (
            None  # a report whose answer was lost: the coordinator may have counted it
        )
        self._left: deque[tuple[float, ActiveRollout]] = deque()
        self._rows_told = 0

    async def beat_forever(self) -> None:
        """Until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(PERIOD_S)

    async def beat(self) -> bool:
        """One report; whether the coordinator knows what shall be done. Never raises."""
        report = self._unsent or self._report()
        self._unsent = report
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reply = await self._send(report)
        except Exception as error:
            logger.warning(
                "the coordinator does not answer (%s): the last orders stay", type(error).__name__
            )
            return False
        self._unsent = None
        self._follow(reply)
        return reply.known

    def _report(self) -> Report:
        self._seq += 1
        table = self._versions.table
        plan = table.rollout if table else None
        rows = sum(count for (event, _), count in self._router.counts.items() if event == "rows")
        told, self._rows_told = rows - self._rows_told, rows
        return Report(
            self._name, self._seq, plan, self._candidate(table), told, tuple(self._tallies())
        )

    def _candidate(self, table: Table | None) -> Candidate:
        if table is None or table.rollout is None:
            return Candidate("missing")
        member = self._versions.members().get(table.rollout.candidate)
        is_isolated = table.entry(table.rollout.candidate).placement == "isolated"
        if member is None:
            return Candidate("missing", isolated=is_isolated)
        if member.opened is not None and member.opened_as == member.identity:
            return Candidate("ready", "", is_isolated, member.opened.rows_per_s)
        is_final = isinstance(member.error, BundleError) and not isinstance(
            member.error, BundleUnavailable
        )
        return Candidate("refused" if is_final else "missing", member.detail, is_isolated)

    def _tallies(self) -> list[Counts]:
        now_s = asyncio.get_running_loop().time()
        while self._left and self._left[0][0] < now_s - KEEP_S:
            self._left.popleft()
        courses = [course for _, course in self._left] + (
            [self._router.course] if self._router.course else []
        )
        return [course.take() for course in courses]

    def _follow(self, reply: Reply) -> None:
        """Put the orders in force; those of another plan than the table's are not for it."""
        if not reply.known:
            return
        table, before = self._versions.table, self._router.course
        course: ActiveRollout | None = None
        if reply.orders and table and table.rollout and table.rollout.id == reply.orders.rollout:
            stable = self._versions.ready(table.stable)
            if stable is not None:
                manifest = stable.manifest
                course = (
                    before.follow(table, reply.orders, manifest)
                    if before
                    else ActiveRollout(self._router.spec, table, reply.orders, manifest)
                )
        self._router.course = course
        if before is not None and course is not before:
            self._left.append((asyncio.get_running_loop().time(), before))
