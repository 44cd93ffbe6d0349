"""How long rows would wait for a version whose calls take time: by that overload is told there."""

from collections import deque
from statistics import median

from serve_app.bundle.predictor import Cost

# Calls that waited out one stall together are the fewer of so many, and a change is known after
# half of them.
N_CALLS = 15


class Pace:
    """What calls take now: what they took in the version's proof, times how much slower they are.

    The proof tells apart what a call costs and what a row adds to it. A queue that fills up cannot:
    its calls have one row each before it, and many rows in it. How busy the machine is, and that
    other servers ask the same replicas, is seen in the last calls alone. `way_ms` is what a call
    may take besides being scored.
    """

    def __init__(self, cost: Cost, way_ms: float = 0.0) -> None:
        self._cost = cost
        self._way_ms = way_ms
        # Of the last calls, each: what it took over what was expected.
        self._slowness: deque[float] = deque(maxlen=N_CALLS)

    def note(self, n_rows: int, seconds: float) -> None:
        """A call of so many rows was answered after so long."""
        expected_ms = self._of_calls_ms(1, n_rows)
        if expected_ms > 0:
            self._slowness.append(1000 * seconds / expected_ms)

    def merged_s(self, n_rows: int, max_rows: int, n_at_once: int = 1) -> float:
        """Seconds that rows wait behind `n_rows` that leave before them or with them.

        Up to `max_rows` leave together, and `n_at_once` calls are under way. Calls that are full
        come before; the rows that are left share a call with those that come, so that all they add
        is their own time. What a call costs whatever is in it is no wait.
        """
        n_full, n_shared = divmod(n_rows, max_rows)
        full_ms = n_full * self._of_calls_ms(1, max_rows) / n_at_once
        return self._now_s(full_ms + n_shared * self._cost.row_ms)

    def one_by_one_s(self, n_calls: int, n_rows: int) -> float:
        """Seconds that a call waits behind so many others, with so many rows in all."""
        return self._now_s(self._of_calls_ms(n_calls, n_rows))

    def _of_calls_ms(self, n_calls: int, n_rows: int) -> float:
        each_ms = self._way_ms + self._cost.of_rows(0)
        return n_calls * each_ms + n_rows * self._cost.row_ms

    def _now_s(self, proven_ms: float) -> float:
        # The median, since a stall makes some calls slow and says nothing about the next.
        slowness = median(self._slowness) if self._slowness else 1.0
        return max(0.0, proven_ms * slowness / 1000)
