"""Servers that count a key's rows and report to a coordinator, under a clock that a test moves."""

from collections import defaultdict
from collections.abc import Callable

from serve_app.access.caller import Caller
from serve_app.access.rates import Rates
from serve_app.access.shares import Shares
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.cluster.report import Inbox, Reply, Report
from serve_app.errors import RateLimited

STEPS_A_SECOND = 20

# Rows a second that are asked of a server, by its place and the seconds since the start.
Load = Callable[[int, float], float]


def caller(rows_per_s: float | None, burst_rows: int | None = None, key: str = "shop") -> Caller:
    """Who has a key with this rate."""
    return Caller(key, frozenset({"predict"}), rows_per_s, burst_rows)


def ask(rates: Rates, who: Caller, n_rows: int = 1) -> bool:
    """Send one request of so many rows, as the door and a handler do; whether it was answered."""
    allowance = rates.allowance(who)
    if allowance is None:
        return True
    try:
        allowance.take_first()
        if n_rows > 1:
            allowance.take_rest(n_rows)
    except RateLimited:
        return False
    return True


def answered_at_once(rates: Rates, who: Caller, most: int = 10_000) -> int:
    """How many single rows are answered, one after the other in no time."""
    n_answered = 0
    while n_answered < most and ask(rates, who):
        n_answered += 1
    return n_answered


class RatedServers:
    """Servers and their coordinator: the real ends of the report, without Ray between them.

    Each server reports once a second, one after the other.
    """

    def __init__(self, n_servers: int) -> None:
        self.n_steps = 0
        self.rates: dict[int, Rates] = {}
        self.reporters: dict[int, Heartbeat] = {}
        # Whose reports do not arrive, and whose replies.
        self.loses_reports: set[int] = set()
        self.loses_replies: set[int] = set()
        self.restart_coordinator()
        for n in range(n_servers):
            self.start(n)

    def clock(self) -> float:
        """Seconds since the start."""
        return self.n_steps / STEPS_A_SECOND

    def restart_coordinator(self) -> None:
        """A new one, which knows nothing."""
        self.inbox = Inbox([Shares(self.clock)])

    def start(self, n: int) -> None:
        """A new server."""
        self.rates[n] = Rates(self.clock)

        async def send(report: Report) -> Reply:
            if n in self.loses_reports:
                raise ConnectionError
            reply = self.inbox.receive(report)
            if n in self.loses_replies:
                raise ConnectionError
            return reply

        self.reporters[n] = Heartbeat(f"server-{n}", [self.rates[n]], send, self.clock)

    def stop(self, n: int) -> None:
        """A server is gone from one moment to the next."""
        del self.rates[n], self.reporters[n]

    async def step(self) -> None:
        """Let a moment pass, in which some servers report."""
        self.n_steps += 1
        for n, reporter in self.reporters.items():
            if (self.n_steps + 7 * n) % STEPS_A_SECOND == 0:
                await reporter.beat()

    async def answered(self, seconds: float, who: Caller, load: Load, n_rows: int = 1) -> int:
        """Put load on the servers, in requests of so many rows; the rows that were answered."""
        begin_s = self.clock()
        n_answered = 0
        waiting: defaultdict[int, float] = defaultdict(float)
        for _ in range(round(seconds * STEPS_A_SECOND)):
            await self.step()
            for n, rates in self.rates.items():
                waiting[n] += load(n, self.clock() - begin_s) / STEPS_A_SECOND
                while waiting[n] >= n_rows:
                    waiting[n] -= n_rows
                    if ask(rates, who, n_rows):
                        n_answered += n_rows
        return n_answered

    async def settle(self, seconds: float = 6.0) -> None:
        """Let the servers report while nobody asks anything."""
        await self.answered(seconds, caller(None), lambda n, passed_s: 0.0)
