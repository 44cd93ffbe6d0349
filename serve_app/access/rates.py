"""A server's end of rate limits: the rows of each key, counted against its share of the rate."""

import math
import time
from collections import Counter
from collections.abc import Callable

from serve_app.access.bucket import Bucket
from serve_app.access.caller import Caller
from serve_app.access.shares import RatesReply, RatesReport
from serve_app.errors import RateLimited

# Until the coordinator has told something: most often for less than a second.
FIRST_SHARE = 0.1
# Who lost its way to a coordinator that goes on is counted as gone there, and its share is given
# to others. A coordinator that died is there again long before.
ALONE_S = 60.0
# As many as a key file has at most.
MOST_KEYS = 1_000
# A rate may be one row in a year; a header has at most 15 digits.
LONGEST_S = 1e9


class Meter:
    """A key's bucket in this server, and how many rows were asked for since the last report."""

    def __init__(self, caller: Caller, in_force: RatesReply, now_s: float) -> None:
        self._n_asked = 0
        # Of the last request whose rows were counted: one that is refused before has as many.
        self._n_rows = 1
        self.bucket = Bucket(now_s, 0.0, _most_rows(caller, in_force))
        self.follow(caller, in_force, now_s)

    def follow(self, caller: Caller, in_force: RatesReply, now_s: float) -> None:
        """Fill at this share of the rate, which the key file may have changed."""
        self.caller = caller
        share = in_force.share(caller.id)
        rows_per_s = rows_per_s_of(caller)
        self.bucket.change(now_s, rows_per_s * share, _most_rows(caller, in_force))
        self.policy = policy_of(caller)
        # A share grows within seconds where it is asked for: waits are told as if it had.
        self._soon_rows_per_s = rows_per_s * max(share, in_force.burst_share)

    def take(self, n_rows: int, n_paid: int) -> bool:
        """Take the rows of a request, of which it has paid some before; whether it passes."""
        if n_paid:
            self._n_rows = n_rows
        is_passed = self.bucket.take(n_rows, n_paid)
        if is_passed:
            self._n_asked += n_rows - n_paid
        else:
            self._n_asked += self._n_rows
        return is_passed

    @property
    def wait_s(self) -> int:
        """Whole seconds until one row more would pass, at least 1."""
        bucket = self.bucket
        missing = min(bucket.n_left, bucket.most_rows) - bucket.rows
        return max(1, math.ceil(min(missing / self._soon_rows_per_s, LONGEST_S)))

    def take_want(self, seconds: float) -> float:
        """The part of the key's rate that this server would use now, and count from 0 again.

        That is what was asked for, answered or not, and what fills the bucket in a second.
        """
        rows_per_s = self._n_asked / seconds + self.bucket.missing_rows
        self._n_asked = 0
        return min(1.0, rows_per_s / rows_per_s_of(self.caller))


def _most_rows(caller: Caller, in_force: RatesReply) -> float:
    """What a full bucket holds: the last row of a burst may be a debt."""
    return (burst_rows_of(caller) - 1) * in_force.burst_share


def rows_per_s_of(caller: Caller) -> float:
    """The rate of a caller who has one."""
    assert caller.rows_per_s is not None
    return caller.rows_per_s


def burst_rows_of(caller: Caller) -> int:
    """Rows that may come at once; what comes in a second where the key file does not say."""
    if caller.burst_rows is not None:
        return caller.burst_rows
    return max(1, math.ceil(rows_per_s_of(caller)))


def policy_of(caller: Caller) -> tuple[int, int]:
    """(rows, seconds): the rate over the time in which an empty bucket would be full."""
    rows_per_s = rows_per_s_of(caller)
    n_seconds = max(1, math.ceil(min(burst_rows_of(caller) / rows_per_s, LONGEST_S)))
    return int(rows_per_s * n_seconds), n_seconds


class Rates:
    """The rows of all callers who have a rate; a part of the report.

    A bucket that is full is forgotten, since a new one is full too: what is kept is at most as much
    as the key file has keys. `refused` holds key → number of requests that were refused.
    """

    name = "rates"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken_s = clock()
        self._meters: dict[str, Meter] = {}
        self._in_force = RatesReply({}, FIRST_SHARE, FIRST_SHARE)
        self._is_told = False
        self.refused: Counter[str] = Counter()

    def allowance(self, caller: Caller | None) -> "Allowance | None":
        """What a caller may ask for here; None: there is no bound."""
        if caller is None or caller.rows_per_s is None:
            return None
        return Allowance(self, caller)

    def meter(self, caller: Caller) -> Meter:
        """The bucket of a caller as it is now."""
        now_s = self._clock()
        meter = self._meters.get(caller.id)
        if meter is None:
            meter = Meter(caller, self._in_force, now_s)
            self._meters[caller.id] = meter
            if len(self._meters) > MOST_KEYS:
                del self._meters[next(iter(self._meters))]
        elif meter.caller is not caller:
            meter.follow(caller, self._in_force, now_s)
        meter.bucket.refill(now_s)
        return meter

    def take(self) -> RatesReport:
        """What was wanted since the last report, and the shares in force."""
        now_s = self._clock()
        seconds = max(now_s - self._taken_s, 1e-3)
        self._taken_s = now_s
        wants = {}
        for key, meter in list(self._meters.items()):
            meter.bucket.refill(now_s)
            want = meter.take_want(seconds)
            if want > 0.0:
                wants[key] = want
            else:
                del self._meters[key]
        return RatesReport(wants, self._in_force.shares, self._in_force.other_share)

    def follow(self, told: RatesReply | None) -> None:
        """Fill by what the coordinator tells; while it only listens, as before."""
        if told is not None:
            self._is_told = True
            self._put_in_force(told)

    async def alone(self, seconds: float) -> None:
        """Without a coordinator the shares stay for a minute; they add up to the limit.

        After that this server has at most what one has that starts. A server that was never told
        any takes itself for the only one: too much is answered rather than too little.
        """
        if not self._is_told:
            self._put_in_force(RatesReply({}, 1.0, 1.0))
        elif seconds > ALONE_S:
            self._put_in_force(_at_most(FIRST_SHARE, self._in_force))

    def _put_in_force(self, told: RatesReply) -> None:
        now_s = self._clock()
        self._in_force = told
        for meter in self._meters.values():
            meter.follow(meter.caller, told, now_s)


def _at_most(share: float, told: RatesReply) -> RatesReply:
    """The same shares, none of which is larger than this one."""
    return RatesReply(
        {key: min(share, each) for key, each in told.shares.items()},
        min(share, told.other_share),
        min(share, told.burst_share),
    )


class Allowance:
    """What one caller has left in this server, for one request.

    The first row is taken before the body is read, the others when they are counted. They are
    refused only where requests that passed meanwhile have left a debt; the one row stays paid,
    since reading the body cost something too.
    """

    __slots__ = ("_caller", "_meter", "_rates")

    def __init__(self, rates: Rates, caller: Caller) -> None:
        self._rates = rates
        self._caller = caller
        self._meter = rates.meter(caller)

    def take_first(self) -> None:
        """Take a row for a request whose rows are not known yet. Raises RateLimited."""
        self._take(1, n_paid=0)

    def take_rest(self, n_rows: int) -> None:
        """Take what a request of so many rows has not paid yet. Raises RateLimited."""
        # While the body was read, the bucket went on, or was full and forgotten.
        self._meter = self._rates.meter(self._caller)
        self._take(n_rows, n_paid=1)

    @property
    def policy(self) -> tuple[int, int]:
        """(rows, seconds): the rate over the time in which an empty bucket would be full."""
        return self._meter.policy

    @property
    def left(self) -> tuple[int, int]:
        """(rows, seconds): what this server would answer now, and when there is a row more."""
        return self._meter.bucket.n_left, self._meter.wait_s

    def _take(self, n_rows: int, n_paid: int) -> None:
        if self._meter.take(n_rows, n_paid):
            return
        self._rates.refused[self._caller.id] += 1
        wait_s = self._meter.wait_s
        raise RateLimited(
            f"This key may send {rows_per_s_of(self._caller):,.10g} rows a second, and "
            f"{burst_rows_of(self._caller):,} at once; try again in {wait_s} s.",
            retry_after_s=wait_s,
        )
