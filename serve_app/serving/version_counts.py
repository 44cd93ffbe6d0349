"""What each version was asked, what came of it, and how long it took; nothing of it is by row."""

from collections import Counter

from serve_app.errors import HttpError, InternalError, ModelFailed
from serve_app.serving.answer import Answered, Failure
from serve_app.statistics.histogram import Histogram

ANSWERED = "answered"
ABANDONED = "abandoned"


class VersionCounts:
    """Counts by version, since the start; an observer of answers.

    `outcomes` holds (version, outcome) → requests: `answered`, `abandoned` (the client left), or
    the code of the error by which the version did not answer (docs/errors.md). `events` holds
    (event, version): `rows` and `failed_rows` of what it answered, and `fallbacks`, requests that
    stable answered in its place. `times` are those of requests that a version answered by itself.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.events: Counter[tuple[str, str]] = Counter()
        self.times: dict[str, Histogram] = {}

    def heard(self, answered: Answered) -> None:
        """Add one request; of one whose client has left nobody knows what would have been."""
        version = answered.version
        assigned = answered.assigned.version
        for failure in answered.failures:
            self.outcomes[failure.version, _code(failure)] += 1
        if answered.is_abandoned:
            self.outcomes[assigned, ABANDONED] += 1
            return
        for failure in answered.failures:
            if failure.error is None:
                self._add_rows(failure.version, len(answered.rows), failure.n_failed_rows)
            if failure.version == assigned != version:
                self.events["fallbacks", assigned] += 1
        if not version:
            return
        self._add_rows(version, len(answered.rows), answered.n_failed)
        self.outcomes[version, ModelFailed.code if answered.n_failed else ANSWERED] += 1
        if version == assigned:
            times = self.times.get(version)
            if times is None:
                times = self.times[version] = Histogram()
            times.add(answered.seconds)

    def _add_rows(self, version: str, n_rows: int, n_failed: int) -> None:
        self.events["rows", version] += n_rows
        if n_failed:
            self.events["failed_rows", version] += n_failed


def _code(failure: Failure) -> str:
    """The code of an error, or of a fault of the server itself."""
    error = failure.error
    if error is None:
        return ModelFailed.code
    return error.code if isinstance(error, HttpError) else InternalError.code
