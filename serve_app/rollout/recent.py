"""The last minutes of a rollout, in requests: what needs no comparison of keys.

Everything here is pure; times are seconds of any one clock.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from serve_app.rollout.counts import ARMS, Arm, Counts
from serve_app.rollout.fault import OF_THE_MODEL, Fault

LAST_S = 60.0
# Where few requests come, ten of the candidate's take longer than a minute.
KEPT_S = 600.0
RESOLUTION_S = 0.5
# A version that fails this share of its requests for so long, in each of so many parts of it, is
# failing. A process that stops for five seconds is not.
FAILING_SHARE = 0.5
FAILING_S = 10.0
N_PARTS = 5
# At 100 % one that fails this share in each of so many parts of a minute is out too, as one whose
# processes end again and again.
LASTING_SHARE = 0.25
N_LASTING_PARTS = 6
# Fewer requests than this say nothing yet, and neither do requests that came all at once: they lie
# at so many moments, a part or more from each other, and no stop of five seconds explains them.
MIN_REQUESTS = 10
N_MOMENTS = 3
LEAST_SPREAD_S = 7.0
# Stable fails too, and then nothing is said of the candidate.
STABLE_SHARE = 0.25
# Above its limit in each third of half a minute.
ABOVE_S = 30.0
N_THIRDS = 3


@dataclass
class Seen:
    """Requests of a stretch of time by the version that they were assigned to, and the bad ones.

    Stable answered `n_stood_in` of the candidate's, and was broken too for `n_broken_in_place`; of
    the others nobody can tell, and they say nothing of stable. `n_late` of the candidate's bad ones
    were late and nothing else; `n_of_model` were its model's fault; `n_of_process` are stops
    of its processes, as each server told them.
    """

    requests: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    bad: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    n_stood_in: int = 0
    n_broken_in_place: int = 0
    n_late: int = 0
    n_of_model: int = 0
    n_of_process: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Seen") -> None:
        """Take in another stretch."""
        for arm in ARMS:
            self.requests[arm] += other.requests[arm]
            self.bad[arm] += other.bad[arm]
        self.n_stood_in += other.n_stood_in
        self.n_broken_in_place += other.n_broken_in_place
        self.n_late += other.n_late
        self.n_of_model += other.n_of_model
        self.n_of_process += other.n_of_process

    @property
    def n_incidents(self) -> int:
        """Return what the candidate did wrong: each fault of the model, and each incident."""
        return self.n_of_model + self.n_of_process.total()

    @property
    def n_seen_by_one(self) -> int:
        """Return the incidents without those that several servers told of one stop."""
        return self.n_of_model + max(self.n_of_process.values(), default=0)

    @property
    def candidate_share(self) -> float:
        """Return what the candidate failed of its requests; 0 where it had none."""
        return _share(self.bad["candidate"], self.requests["candidate"])

    @property
    def candidate_share_without_late(self) -> float:
        """Return the same of what was bad for another reason than that it was late."""
        n_bad = self.bad["candidate"] - self.n_late
        return _share(n_bad, self.requests["candidate"])

    @property
    def is_stable_broken(self) -> bool:
        """Return whether what the candidate failed was largely beyond stable too."""
        return self.n_broken_in_place > STABLE_SHARE * self.bad["candidate"]

    @property
    def n_asked_stable(self) -> int:
        """Return how often stable was asked: by its own keys, and in the candidate's place."""
        return self.requests["stable"] + self.n_stood_in + self.n_broken_in_place

    @property
    def n_bad_of_stable(self) -> int:
        """Return how often stable gave no good answer, in the candidate's place too."""
        return self.bad["stable"] + self.n_broken_in_place

    @property
    def stable_share(self) -> float:
        """Return what stable failed of all that it was asked; 0 where it was not."""
        return _share(self.n_bad_of_stable, self.n_asked_stable)


class Recent:
    """What the reports of the last ten minutes told, by the time at which they came."""

    def __init__(self) -> None:
        self._parts: deque[tuple[float, Seen]] = deque()

    def add(self, now_s: float, seen: Seen) -> None:
        """Note what a report tells; what is older than ten minutes is forgotten.

        Reports of half a second are kept as one, so that many servers cost no more than one.
        """
        if self._parts and now_s - self._parts[-1][0] < RESOLUTION_S:
            self._parts[-1][1].add(seen)
        else:
            self._parts.append((now_s, seen))
        while self._parts[0][0] < now_s - KEPT_S:
            self._parts.popleft()

    def between(self, begin_s: float, end_s: float) -> Seen:
        """Return the sum of what came after `begin_s`, up to `end_s`."""
        total = Seen()
        for at_s, seen in reversed(self._parts):
            if at_s <= begin_s:
                break
            if at_s <= end_s:
                total.add(seen)
        return total

    def failing(self, now_s: float) -> Seen | None:
        """Return the stretch in which the candidate failed most of its requests; None: it did not.

        The stretch is the last ten seconds, or as much of the last ten minutes as has ten requests
        of the candidate at three moments. In one of more than a minute what is only late does not
        count: in each server a version may be late at its first calls, until it has loaded all.
        """
        stretch = self._stretch(now_s)
        if stretch is None:
            return None
        begin_s, newest_s = stretch
        is_long = now_s - begin_s > LAST_S
        # A part without requests says nothing: clients may come once in five seconds.
        parts = self._parts_of(begin_s, now_s, N_PARTS)
        for part in filter(_has_candidate, parts):
            share = part.candidate_share_without_late if is_long else part.candidate_share
            if share < FAILING_SHARE:
                return None
        # What stable answers well since nobody asks the candidate says nothing of that time.
        return self.between(begin_s, newest_s)

    def lasting(self, now_s: float, limit_share: float) -> Seen | None:
        """Return the last minute where each part of it had a quarter bad, and more than this share.

        None: one had less.
        """
        seen = self.between(now_s - LAST_S, now_s)
        if seen.bad["candidate"] < MIN_REQUESTS:
            return None
        parts = self._parts_of(now_s - LAST_S, now_s, N_LASTING_PARTS)
        # A part without requests has a share of 0.
        least = min(part.candidate_share for part in parts)
        return seen if least >= LASTING_SHARE and least > limit_share else None

    def above(self, now_s: float, limit_share: float) -> Seen | None:
        """Return the last half minute where the candidate was above this share all the time.

        What a process does wrong in one go counts once: three stops of a second are no proof.
        """
        seen = self.between(now_s - ABOVE_S, now_s)
        if seen.n_seen_by_one < MIN_REQUESTS:
            return None
        for third in self._parts_of(now_s - ABOVE_S, now_s, N_THIRDS):
            # A part without requests is one in which the candidate was not bad.
            if third.n_incidents <= limit_share * third.requests["candidate"]:
                return None
        return seen

    def _stretch(self, now_s: float) -> tuple[float, float] | None:
        """Return where the stretch begins, and when the candidate was last asked in it."""
        n_requests = 0
        moments_s: list[float] = []
        for at_s, seen in reversed(self._parts):
            if not seen.requests["candidate"]:
                continue
            n_requests += seen.requests["candidate"]
            if not moments_s or moments_s[-1] - at_s >= FAILING_S / N_PARTS:
                moments_s.append(at_s)
            # A report tells of the second before it.
            passed_s = now_s - at_s + 1.0
            is_long = passed_s >= FAILING_S and moments_s[0] - at_s >= LEAST_SPREAD_S
            if is_long and n_requests >= MIN_REQUESTS and len(moments_s) >= N_MOMENTS:
                return now_s - passed_s, moments_s[0]
        return None

    def _parts_of(self, begin_s: float, end_s: float, n_parts: int) -> list[Seen]:
        """Return what was seen in each part of a stretch."""
        part_s = (end_s - begin_s) / n_parts
        edges_s = [*(begin_s + n * part_s for n in range(n_parts)), end_s]
        return [self.between(*edges) for edges in pairwise(edges_s)]


def seen_of(
    requests: Mapping[Arm, int],
    bad: Mapping[Arm, Mapping[Fault, int]],
    n_stood_in: int,
    n_broken_in_place: int,
) -> Seen:
    """Return what a report counted, all faults together."""
    n_bad = {arm: sum(bad[arm].values()) for arm in ARMS}
    return Seen(dict(requests), n_bad, n_stood_in, n_broken_in_place)


def seen_by(server: str, counts: Counts) -> Seen:
    """Return what a server's report tells."""
    seen = seen_of(counts.requests, counts.bad, counts.n_stood_in, counts.n_broken_in_place)
    seen.n_late = counts.bad["candidate"]["late"]
    seen.n_of_model = sum(counts.bad["candidate"][fault] for fault in OF_THE_MODEL)
    seen.n_of_process[server] = counts.n_stops
    return seen


def _has_candidate(seen: Seen) -> bool:
    return bool(seen.requests["candidate"])


def _share(n: int, total: int) -> float:
    return n / total if total else 0.0
