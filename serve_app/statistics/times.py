"""Answer times in fixed bins, and whether one 95th percentile is beyond another by no chance."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serve_app.statistics.intervals import SURE_Z, sum_of_squares, wilson

# Four bins for each doubling, from 1 ms to 16 s: a ratio of two is four bins.
EDGES_MS: tuple[float, ...] = tuple(2.0 ** (n / 4) for n in range(57))
N_BINS = len(EDGES_MS) + 1
# What lies above a 95th percentile.
TAIL = 0.05


def bin_of(seconds: float) -> int:
    """Return the place of a time: bin i has the times above edge i - 1, up to edge i."""
    return bisect_left(EDGES_MS, 1000 * seconds)


def _zeros() -> NDArray[np.float64]:
    return np.zeros(len(EDGES_MS))


@dataclass
class Times:
    """Answer times of one version, as reports told them, a second of a server each.

    What comes together says little more than once: a process that stalls makes all times of that
    second long. So next to the times above each edge, (57,), it keeps what their variance from
    report to report needs: the sums of their squares, and of them times all times of the report.
    """

    n_times: int = 0
    above: NDArray[np.float64] = field(default_factory=_zeros)
    _squares: NDArray[np.float64] = field(default_factory=_zeros)
    _products: NDArray[np.float64] = field(default_factory=_zeros)
    _n_squared: int = 0

    def add(self, counts: Sequence[int]) -> None:
        """Take in the times of one report by bin, (58,); nothing of an empty list."""
        if not counts:
            return
        n_times = sum(counts)
        above = n_times - np.cumsum(counts[:-1], dtype=np.float64)
        self.n_times += n_times
        self.above += above
        self._squares += above * above
        self._products += above * n_times
        self._n_squared += n_times * n_times

    def __add__(self, other: "Times") -> "Times":
        return Times(
            self.n_times + other.n_times,
            self.above + other.above,
            self._squares + other._squares,
            self._products + other._products,
            self._n_squared + other._n_squared,
        )

    @property
    def p95_ms(self) -> float | None:
        """Return the upper edge of the bin of the 95th percentile; None without a time.

        What is beyond the last edge is told as that edge.
        """
        if not self.n_times:
            return None
        places = np.flatnonzero(self.above <= TAIL * self.n_times)
        return EDGES_MS[places[0]] if len(places) else EDGES_MS[-1]

    def bounds(self, place: int) -> tuple[float, float]:
        """Return between what the share of times above an edge surely lies (99.95 %).

        The variance is that from report to report where it is the larger one.
        """
        n = self.n_times
        if not n:
            return 0.0, 1.0
        share = self.above[place] / n
        by_chance = share * (1 - share) / n
        squares = self._squares[place]
        between = sum_of_squares(squares, self._products[place], self._n_squared, share) / (n * n)
        worth = min(1.0, by_chance / between) if between > 0 else 1.0
        return wilson(worth * self.above[place], worth * n, SURE_Z)


def bar_ms(stable: Times, max_ratio: float, floor_ms: float) -> float | None:
    """Return the edge that the candidate's 95th percentile must not be beyond.

    It is `max_ratio` times the most that stable's can be, and never below `floor_ms`. None where
    stable's is not known, or nothing can be beyond.
    """
    for place, edge_ms in enumerate(EDGES_MS):
        if stable.bounds(place)[1] <= TAIL:
            # Edges are powers in floating point: a ratio of two must find its own edge.
            least_ms = max(floor_ms, max_ratio * edge_ms) * (1 - 1e-9)
            beyond = bisect_left(EDGES_MS, least_ms)
            return EDGES_MS[beyond] if beyond < len(EDGES_MS) else None
    return None


def is_beyond(candidate: Times, limit_ms: float) -> bool:
    """Tell whether surely more than a twentieth of the times are above an edge."""
    return candidate.bounds(EDGES_MS.index(limit_ms))[0] > TAIL
