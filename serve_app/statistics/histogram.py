"""Answer times in the few bins that a dashboard and an alert can use."""

from bisect import bisect_left

# Objectives are most often 50, 200 or 500 ms: each of them is an edge, so that the share of answers
# within it is counted and not estimated.
EDGES_S: tuple[float, ...] = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
)


class Histogram:
    """Times by bin since the start; bin i has those above edge i - 1, up to edge i."""

    def __init__(self) -> None:
        self._counts = [0] * (len(EDGES_S) + 1)

    def add(self, seconds: float) -> None:
        """Count one time."""
        self._counts[bisect_left(EDGES_S, seconds)] += 1

    def up_to(self) -> dict[str, int]:
        """How many times were at most as long as each edge, as Prometheus writes a histogram."""
        found: dict[str, int] = {}
        total = 0
        for edge, count in zip((*EDGES_S, None), self._counts, strict=True):
            total += count
            found["+Inf" if edge is None else f"{edge:g}"] = total
        return found
