"""Who was given to which version, and who got no answer: what clients see."""

from collections.abc import Callable

from serve_app.serving.answer import Answered

# A request that fails so soon after a fault of stable's own has failed by that.
MEMORY_S = 3.0


class Witness:
    """An observer of every server's answers; counts no more after `close`."""

    def __init__(
        self, candidate: str, now_s: Callable[[], float], is_failing: Callable[[], bool]
    ) -> None:
        self._candidate = candidate
        self._now_s = now_s
        self._is_failing = is_failing
        self._exposed: set[int] = set()
        self._stable_failed_s = -1e9
        self._is_closed = False
        self.n_requests = 0
        self.n_candidate = 0
        self.n_lost = 0

    def heard(self, answered: Answered) -> None:
        """Note one request."""
        if self._is_closed:
            return
        self.n_requests += 1
        if answered.assigned.version == self._candidate:
            self.n_candidate += 1
            if self._is_failing():
                self._exposed.add(int(self._now_s()))
        if not answered.version and not self._is_excused(answered):
            self.n_lost += 1

    def _is_excused(self, answered: Answered) -> bool:
        """Whether stable was asked, while it could not answer whoever asks.

        Where no rollout is in force, whichever version was asked is stable.
        """
        is_of_stable = not answered.assigned.run
        was_asked = is_of_stable or any(
            failure.version != self._candidate for failure in answered.failures
        )
        return was_asked and self._now_s() - self._stable_failed_s <= MEMORY_S

    def excuse(self, lasts_s: float = 0.0) -> None:
        """Stable cannot answer for so long, whoever is asked: no fault of the rollout."""
        self._stable_failed_s = max(self._stable_failed_s, self._now_s() + lasts_s)

    def close(self) -> None:
        """What comes now is no part of the run."""
        self._is_closed = True

    @property
    def exposed_s(self) -> int:
        """Seconds in which somebody was given to a candidate that failed everything."""
        return len(self._exposed)
