"""The servers of a model as their reports show them: their plan, and who has the candidate."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from serve_app.rollout.orders import Loaded, RolloutReport
from serve_app.scaling import PLANNED_BUSY
from serve_app.settings import Rollout

# A server that has not reported for so long counts as gone.
SILENT_S = 5.0
# How long other servers are waited for where one has put the candidate out by itself: one that
# found no coordinator asks again within six seconds.
ALONE_S = 8.0
RATE_OVER_S = 10.0
ASK_EVERY_S = 1.0
ASK_TIMEOUT_S = 5.0
UNKNOWN: tuple[Loaded, str] = ("missing", "its replicas are not known yet")


@dataclass(frozen=True)
class Replicas:
    """An isolated version as Ray sees it. `failure`: why it cannot be deployed, for good."""

    n_running: int
    failure: str = ""


class IsolatedApplications(Protocol):
    """Where isolated versions run."""

    async def replicas(self, version: str) -> Replicas:
        """How many replicas of this version run."""

    async def wish(self, version: str, n_replicas: int) -> None:
        """Tell its autoscaling how many its next share needs."""


@dataclass
class _Server:
    """`since_s`: when it was first heard, or last idle; `n_rows`: (when, how many) by report.

    `alone_since_s`: since when it says that it has put the candidate out by itself.
    """

    report: RolloutReport
    heard_s: float
    since_s: float
    n_rows: deque[tuple[float, int]] = field(default_factory=deque)
    alone_since_s: float = math.inf

    @property
    def has_clients(self) -> bool:
        return bool(self.report.n_rows) or any(n_rows for _, n_rows in self.n_rows)


class Fleet:
    """Live servers, by name."""

    def __init__(
        self, isolated: IsolatedApplications, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._isolated = isolated
        self._clock = clock
        self._servers: dict[str, _Server] = {}
        self._asked_s = -math.inf
        # The isolated candidate and the share that were asked about last, and what was found.
        self._asked_about: tuple[str, float] = ("", 0.0)
        self._found: tuple[Loaded, str] = UNKNOWN

    def hear(self, name: str, report: RolloutReport, *, is_new: bool) -> None:
        """Note a server's report; one that is not new shows only that the server lives."""
        now_s = self._clock()
        is_first = name not in self._servers
        server = self._servers.setdefault(name, _Server(report, now_s, now_s))
        server.report = report
        server.heard_s = now_s
        is_alone = bool(report.out_alone)
        server.alone_since_s = min(server.alone_since_s, now_s) if is_alone else math.inf
        # A server's first report is skipped: we do not know which period its rows cover.
        if is_new and not is_first:
            server.n_rows.append((now_s, report.n_rows))
        while server.n_rows and server.n_rows[0][0] < now_s - RATE_OVER_S:
            server.n_rows.popleft()
        # What comes after an idle time is not averaged over it.
        if not any(n_rows for _, n_rows in server.n_rows):
            server.since_s = now_s

    def forget_silent(self) -> None:
        """Servers that have gone count no more."""
        oldest_s = self._clock() - SILENT_S
        live = {name: server for name, server in self._servers.items() if server.heard_s > oldest_s}
        self._servers = live

    @property
    def n_servers(self) -> int:
        """How many report."""
        return len(self._servers)

    @property
    def plan(self) -> Rollout | None:
        """The plan that all of them want; None while they differ, as during a redeploy."""
        plans = [server.report.plan for server in self._servers.values()]
        return plans[0] if plans and all(plan == plans[0] for plan in plans) else None

    @property
    def has_clients(self) -> bool:
        """Whether somebody was answered by these servers in the last seconds."""
        return any(n_rows for server in self._servers.values() for _, n_rows in server.n_rows)

    def waits_for_others(self, name: str) -> bool:
        """Whether a server has put the candidate out by itself, and others may say so too yet."""
        server = self._servers.get(name)
        if server is None or not server.report.out_alone:
            return False
        return self._clock() < server.alone_since_s + ALONE_S

    def are_out_alone(self, run: str) -> bool:
        """Whether each server with clients has put the candidate out in this run by itself.

        One that reaches it, or has not seen it fail, says otherwise.
        """
        asked = [server for server in self._servers.values() if server.has_clients]
        if not asked or any(server.report.out_alone != run for server in asked):
            return False
        return self._clock() >= min(server.alone_since_s for server in asked) + ALONE_S

    @property
    def config_error(self) -> str:
        """Why the newest table is not in force in some server; empty where it is in all."""
        errors = [server.report.config_error for server in self._servers.values()]
        refused = [error for error in errors if error]
        if not refused:
            return ""
        return f"{refused[0]} (in {len(refused)} of {len(errors)} servers)"

    @property
    def wants_none(self) -> bool:
        """Whether all of them have a table without a rollout."""
        plans = [server.report.plan for server in self._servers.values()]
        return bool(plans) and all(plan is None for plan in plans)

    @property
    def rows_per_s(self) -> float:
        """Rows answered by all servers: the mean of the last seconds, or since one was idle."""
        now_s = self._clock()
        total = 0.0
        for server in self._servers.values():
            passed_s = min(RATE_OVER_S, max(1.0, now_s - server.since_s))
            total += sum(n_rows for _, n_rows in server.n_rows) / passed_s
        return total

    def readiness(self, plan: Rollout, percent: float) -> tuple[Loaded, str]:
        """Whether every server has the candidate and, isolated, the replicas for this share.

        Replicas that were counted for another share say nothing of this one.
        """
        candidates = [server.report.candidate for server in self._servers.values()]
        for candidate in candidates:
            if candidate.state == "refused":
                return "refused", candidate.reason
        is_isolated = any(candidate.isolated for candidate in candidates)
        is_counted = self._asked_about == (plan.candidate, percent)
        is_final = self._asked_about[0] == plan.candidate and self._found[0] == "refused"
        replicas = self._found if is_counted or is_final else UNKNOWN
        if is_isolated and replicas[0] == "refused":
            return replicas
        if self.plan is None:
            return "missing", "the servers do not agree about the plan yet"
        waiting = [candidate for candidate in candidates if candidate.state != "ready"]
        if waiting:
            n_ready = len(candidates) - len(waiting)
            why = waiting[0].reason or "loading"
            return "missing", f"loaded in {n_ready} of {len(candidates)} servers ({why})"
        return replicas if is_isolated else ("ready", f"{plan.candidate} is loaded")

    async def ask_isolated(self, version: str, percent: float) -> None:
        """Look at an isolated candidate's replicas, and wish for those that this share needs."""
        candidates = [server.report.candidate for server in self._servers.values()]
        if not any(candidate.isolated for candidate in candidates):
            return
        asked_about = (version, percent)
        is_fresh = self._clock() < self._asked_s + ASK_EVERY_S
        if is_fresh and asked_about == self._asked_about:
            return
        self._asked_s = self._clock()
        if asked_about != self._asked_about:
            self._asked_about = asked_about
            self._found = UNKNOWN
        capacities = [candidate.rows_per_s for candidate in candidates if candidate.rows_per_s]
        capacity = PLANNED_BUSY * min(capacities, default=math.inf)
        needed = max(1, math.ceil(percent / 100 * self.rows_per_s / capacity))
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                found = await self._isolated.replicas(version)
                if found.n_running:
                    await self._isolated.wish(version, needed)
        except Exception as error:
            # Ray's controller may be away for a moment; the next look asks again.
            kind = type(error).__name__
            self._found = ("missing", f"its replicas cannot be counted ({kind})")
            return
        if found.failure:
            self._found = ("refused", found.failure)
        elif found.n_running < needed:
            counted = f"{found.n_running} of the {needed} replicas that {percent:g} % need"
            self._found = ("missing", counted)
        else:
            self._found = ("ready", f"{found.n_running} replicas")
