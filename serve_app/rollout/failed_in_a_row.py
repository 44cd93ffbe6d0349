"""What one server knows of a candidate by itself, while no coordinator compares the versions."""

import math
from dataclasses import dataclass, field

from serve_app.rollout.fault import Fault, InPlace, is_of_candidate_alone
from serve_app.rollout.recent import FAILING_S, LAST_S, MIN_REQUESTS
from serve_app.serving.answer import Answered


@dataclass
class FailedInARow:
    """Requests that the candidate failed one after the other, where stable would not have.

    Times are seconds of any one clock. `stable_good_s` is when stable answered a request of its own
    well, if it has failed none since.
    """

    n_requests: int = 0
    first_s: float = 0.0
    newest_s: float = -math.inf
    stable_good_s: float = -math.inf

    def hear_stable(self, now_s: float, fault: Fault | None) -> None:
        """Take in a request that was assigned to stable."""
        self.stable_good_s = now_s if fault is None else -math.inf

    def hear(
        self,
        now_s: float,
        answered: Answered,
        fault: Fault | None,
        how: InPlace | None,
        late_s: float,
    ) -> None:
        """Take in a request of the candidate; a good one ends the row, an outage of both does not.

        `fault`, `how` and `late_s` are those of fault.py.
        """
        if fault is None:
            self.n_requests = 0
            return
        is_sound = self.stable_good_s > now_s - FAILING_S
        if not is_of_candidate_alone(answered, fault, how, late_s, is_stable_sound=is_sound):
            return
        # What was long ago does not go together with what is now.
        if not self.n_requests or not self._is_fresh(now_s):
            self.n_requests = 0
            self.first_s = now_s
        self.newest_s = now_s
        self.n_requests += 1

    def is_everything(self, now_s: float) -> bool:
        """Whether all of them failed for as long as the judge would wait, until lately."""
        is_long = self.newest_s - self.first_s >= FAILING_S
        return self.n_requests >= MIN_REQUESTS and is_long and self._is_fresh(now_s)

    def _is_fresh(self, now_s: float) -> bool:
        return now_s - self.newest_s < LAST_S


@dataclass
class Alone:
    """What a server has decided by itself, until a coordinator that has heard of it judges.

    `is_alone`: nobody compares the versions, since the coordinator is away, or does not know the
    rollout yet. `out` is the run in which this server has put the candidate out for itself: that it
    cannot reach it says nothing of the others.
    """

    is_alone: bool = False
    out: str = ""
    failed: FailedInARow = field(default_factory=FailedInARow)
    _is_told: bool = False

    def told(self) -> str:
        """Return what the next report says of it."""
        self._is_told = bool(self.out)
        return self.out

    def hear_coordinator(self, *, known: bool, has_orders: bool) -> None:
        """Take in an answer to the last report: orders that know of it are the judgement."""
        self.is_alone = not known
        if known and has_orders and self._is_told:
            self.out = ""
            self.failed = FailedInARow()

    def puts_out(self, run: str, now_s: float) -> bool:
        """Put the candidate out that fails each request while nobody else judges it, once a run.

        Return whether it is so now.
        """
        if not self.is_alone or self.out == run or not self.failed.is_everything(now_s):
            return False
        self.out = run
        return True
