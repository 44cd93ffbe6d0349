"""The coordinator's end of rate limits: which share of each key's rate each server has.

Servers say what they want of each key; the coordinator hands out shares of the rate. Their sum
stays within the limit: a server gets more only when the others were told to have less.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# Of each key's rate: so much is kept for a server that starts, and so much is spread evenly over
# the servers that ask for little, so that their first request is answered.
RESERVE = 0.02
FLOOR = 0.02
# A server that has not reported for so long counts as gone. If it lives, a little too much is
# answered; if it does not, too little is while its share is kept for it.
SILENT_S = 3.0
# How long a new coordinator only listens: by then every server has told what it holds.
LISTEN_S = 2.5
# Stands for all keys that nobody asks with: a key's id is not empty.
OTHERS = ""


@dataclass(frozen=True)
class RatesReport:
    """A server's part of its report.

    `wants`: by key, the part of its rate that this server would use now, at most 1; a key that is
    not in it wants nothing. `shares`: those in force here; `other_share`: that of all other keys.
    """

    wants: Mapping[str, float]
    shares: Mapping[str, float]
    other_share: float

    def share(self, key: str) -> float:
        """The part of a key's rate that is in force."""
        return self.shares.get(key, self.other_share)


@dataclass(frozen=True)
class RatesReply:
    """The coordinator's part of its reply.

    `shares`: by key, the part of its rate for this server; `other_share` is that of all other keys.
    `burst_share` is the part of each key's burst.
    """

    shares: Mapping[str, float]
    other_share: float
    burst_share: float

    def share(self, key: str) -> float:
        """The part of a key's rate."""
        return self.shares.get(key, self.other_share)


def split(wants: Sequence[float]) -> list[float]:
    """Share out one limit among servers, by what each wants of it (0 to 1), in their order.

    Who wants little gets it, and what is left is divided evenly among those that want more
    (max-min fairness). What nobody wants is divided evenly too, and one part of that is kept for a
    server that may start. The sum is below 1.
    """
    n = len(wants)
    least = FLOOR / n
    wanted = [max(least, want) for want in wants]
    left = 1.0 - RESERVE - sum(wanted)
    if left >= 0.0:
        return [want + left / (n + 1) for want in wanted]
    level = _level(sorted(wanted), 1.0 - RESERVE)
    return [min(want, level) for want in wanted]


def _level(ascending: Sequence[float], total: float) -> float:
    """What each gets at most, so that all get `total` together; they want more than that."""
    left = total
    for place, want in enumerate(ascending):
        level = left / (len(ascending) - place)
        if want >= level:
            return level
        left -= want
    # Only by rounding: all of them want `total`.
    return ascending[-1]


@dataclass
class _Server:
    """`told` is what was told since the report."""

    report: RatesReport
    heard_s: float
    told: RatesReply | None = None

    def share(self, key: str) -> float:
        """What it has of a key: a reply that was lost is known from the next report."""
        if self.told is not None:
            return self.told.share(key)
        return self.report.share(key)


class Shares:
    """Hands out each key's rate among the servers of a model; a part of the report.

    It knows no limits: a want and a share are parts of whatever the key file allows.
    """

    name = "rates"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._listens_until_s = clock() + LISTEN_S
        # By name, in the order in which they were heard first.
        self._servers: dict[str, _Server] = {}

    def hear(self, server: str, taken: RatesReport, *, is_new: bool) -> None:
        """Note what a server wants and has.

        A report that is sent again says the same: nothing has reached the server since.
        """
        self._servers[server] = _Server(taken, self._clock())

    def tell(self, server: str) -> RatesReply | None:
        """The shares of this server from now on; None: those that it has."""
        now_s = self._clock()
        self._forget_silent(now_s)
        if now_s < self._listens_until_s:
            return None
        names = list(self._servers)
        mine = self._servers[server]
        place = names.index(server)
        others = [self._servers[name] for name in names if name != server]
        wanted = {key for each in self._servers.values() for key in each.report.wants}

        def share_of(key: str) -> float:
            wants = [each.report.wants.get(key, 0.0) for each in self._servers.values()]
            free = 1.0 - math.fsum(each.share(key) for each in others)
            return min(split(wants)[place], max(mine.report.share(key), free))

        other_share = share_of(OTHERS)
        shares = {key: share_of(key) for key in wanted}
        # A key that nobody wants any more is as the others, as soon as there is room for that.
        for key in mine.report.shares.keys() - wanted:
            share = share_of(key)
            if share < other_share:
                shares[key] = share
        mine.told = RatesReply(shares, other_share, burst_share=1.0 / len(names))
        return mine.told

    def _forget_silent(self, now_s: float) -> None:
        """What servers that have gone held is there for the others."""
        oldest_s = now_s - SILENT_S
        self._servers = {
            name: each for name, each in self._servers.items() if each.heard_s > oldest_s
        }
