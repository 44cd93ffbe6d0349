"""The servers of a model as their beats show them: which plan they want, and how far the candidate is in each."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from serve_app.rollout.orders import Loaded, Report
from serve_app.scaling import PLANNED_BUSY
from serve_app.settings import Rollout

SILENT_S = 5.0  # a server that has not reported for so long counts as gone
RATE_OVER_S = 10.0
ASK_EVERY_S = 1.0
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
    beat: Report
    heard_s: float
    since_s: float
    rows: deque[tuple[float, int]] = field(default_factory=deque)


class Fleet:
    """Live servers, by name."""

    def __init__(
        self, apart: IsolatedApplications, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._apart = apart
        self._clock = clock
        self._servers: dict[str, _Server] = {}
        self._seqs: dict[str, int] = {}
        self._asked_s = -math.inf
        self._apart_of = ""  # the isolated candidate that `_isolated` is about
        self._isolated: tuple[Loaded, str] = UNKNOWN

    def hear(self, beat: Report) -> bool:
        """Note a report; False for one that was heard before."""
        now_s = self._clock()
        is_new = beat.seq > self._seqs.get(beat.server, 0)
        self._seqs[beat.server] = beat.seq
        is_first = beat.server not in self._servers
        server = self._servers.setdefault(beat.server, _Server(beat, now_s, now_s))
        server.beat, server.heard_s = beat, now_s
        if is_new and not is_first:  # the first tells of a time that nobody knows
            server.rows.append((now_s, beat.rows))
        while server.rows and server.rows[0][0] < now_s - RATE_OVER_S:
            server.rows.popleft()
        if not any(
            rows for _, rows in server.rows
        ):  # idle until now: what comes is not averaged over that
            server.since_s = now_s
        return is_new

    def forget_silent(self) -> None:
        """Servers that have gone count no more."""
        oldest_s = self._clock() - SILENT_S
        self._servers = {
            name: server for name, server in self._servers.items() if server.heard_s > oldest_s
        }
        if len(self._seqs) > 100 + len(self._servers):  # the names of servers that went long ago
            self._seqs = {name: seq for name, seq in self._seqs.items() if name in self._servers}

    @property
    def n_servers(self) -> int:
        """How many report."""
        return len(self._servers)

    @property
    def plan(self) -> Rollout | None:
        """The plan that all of them want; None while they differ, as during a redeploy."""
        plans = [server.beat.plan for server in self._servers.values()]
        return plans[0] if plans and all(plan == plans[0] for plan in plans) else None

    @property
    def wants_none(self) -> bool:
        """Whether all of them have a table without a rollout."""
        return bool(self._servers) and all(
            server.beat.plan is None for server in self._servers.values()
        )

    @property
    def rows_per_s(self) -> float:
        """Rows answered by all servers: mean of the last seconds, or since a server was first heard or idle."""
        now_s = self._clock()
        return sum(
            sum(rows for _, rows in server.rows)
            / min(RATE_OVER_S, max(1.0, now_s - server.since_s))
            for server in self._servers.values()
        )

    def readiness(self, plan: Rollout) -> tuple[Loaded, str]:
        """Whether the candidate is loaded in every server and, isolated, has the replicas that were asked for."""
        candidates = [server.beat.candidate for server in self._servers.values()]
        if refused := next((found for found in candidates if found.state == "refused"), None):
            return "refused", refused.reason
        is_isolated = any(found.isolated for found in candidates)
        apart = self._isolated if self._apart_of == plan.candidate else UNKNOWN
        if is_isolated and apart[0] == "refused":
            return apart
        if self.plan is None:
            return "missing", "the servers do not agree about the plan yet"
        if waiting := [found for found in candidates if found.state != "ready"]:
            n_ready = len(candidates) - len(waiting)
            return (
                "missing",
                f"loaded in {n_ready} of {len(candidates)} servers ({waiting[0].reason or 'loading'})",
            )
        return apart if is_isolated else ("ready", f"{plan.candidate} is loaded")

    async def ask_apart(self, version: str, percent: float) -> None:
        """Look at an isolated candidate's replicas, and wish for those that this share needs."""
        candidates = [server.beat.candidate for server in self._servers.values()]
        if (
            not any(found.isolated for found in candidates)
            or self._clock() < self._asked_s + ASK_EVERY_S
        ):
            return
        self._asked_s, self._apart_of = self._clock(), version
        capacity = min(
            (found.rows_per_s for found in candidates if found.rows_per_s), default=math.inf
        )
        needed = max(1, math.ceil(percent / 100 * self.rows_per_s / (PLANNED_BUSY * capacity)))
        try:
            found = await self._apart.replicas(version)
            if found.n_running:
                await self._apart.wish(version, needed)
        except (
            Exception
        ) as error:  # Ray's controller may be away for a moment; the next look asks again
            self._isolated = "missing", f"its replicas cannot be counted ({type(error).__name__})"
            return
        if found.failure:
            self._isolated = "refused", found.failure
        elif found.n_running < needed:
            self._isolated = (
                "missing",
                f"{found.n_running} of the {needed} replicas that {percent:g} % need",
            )
        else:
            self._isolated = "ready", f"{found.n_running} replicas"
