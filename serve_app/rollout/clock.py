"""Seconds since 1970 that only go forward, at one second a second."""

import time
from collections.abc import Callable


class SteadyClock:
    """The time of day as it was at the start, moved on by a clock that nobody sets.

    What a machine's clock does later (a leap, somebody who sets it) neither ends a step early nor
    holds one up.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ticks = ticks
        self._offset_s = wall() - ticks()

    def __call__(self) -> float:
        """Return seconds since 1970."""
        return self._ticks() + self._offset_s

    def not_before(self, at_s: float) -> None:
        """Move on to this time, which another machine has written already."""
        self._offset_s = max(self._offset_s, at_s - self._ticks())
