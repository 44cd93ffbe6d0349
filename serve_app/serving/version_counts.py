"""What each version was asked, what came of it, and how long it took; nothing of it is by row."""

from collections import Counter
from collections.abc import Mapping

from serve_app.errors import HttpError, InternalError, ModelFailed
from serve_app.serving.answer import Answered, Failure
from serve_app.statistics.histogram import Histogram

ANSWERED = "answered"
ABANDONED = "abandoned"


class _Sound:
    """The requests that a version answered by itself, each of their rows."""

    __slots__ = ("n_requests", "n_rows", "times")

    def __init__(self) -> None:
        self.n_requests = 0
        self.n_rows = 0
        self.times = Histogram()


class VersionCounts:
    """Counts by version, since the start; an observer of answers.

    Nearly every request goes as it should, and takes one step here; the others are told apart.
    """

    def __init__(self) -> None:
        self._sound: dict[str, _Sound] = {}
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._events: Counter[tuple[str, str]] = Counter()

    def heard(self, answered: Answered) -> None:
        """Add one request; of one whose client has left nobody knows what would have been."""
        version = answered.version
        if answered.failures or answered.n_failed or version != answered.assigned.version:
            self._add_other(answered)
            return
        sound = self._sound.get(version)
        if sound is None:
            sound = self._sound[version] = _Sound()
        sound.n_requests += 1
        sound.n_rows += len(answered.rows)
        sound.times.add(answered.seconds)

    @property
    def outcomes(self) -> Mapping[tuple[str, str], int]:
        """(version, outcome) → requests.

        An outcome is `answered`, `abandoned` (the client left), or the code of the error by which
        the version did not answer (docs/errors.md).
        """
        found = self._outcomes.copy()
        for version, sound in self._sound.items():
            found[version, ANSWERED] += sound.n_requests
        return found

    @property
    def events(self) -> Mapping[tuple[str, str], int]:
        """(event, version) → number.

        An event is `rows` and `failed_rows` of what it answered, and `fallbacks`: requests that
        stable answered in its place.
        """
        found = self._events.copy()
        for version, sound in self._sound.items():
            found["rows", version] += sound.n_rows
        return found

    @property
    def times(self) -> Mapping[str, Histogram]:
        """The times of the requests that each version answered by itself, each of their rows."""
        return {version: sound.times for version, sound in self._sound.items()}

    def _add_other(self, answered: Answered) -> None:
        version = answered.version
        assigned = answered.assigned.version
        for failure in answered.failures:
            self._outcomes[failure.version, _code(failure)] += 1
        if answered.is_abandoned:
            self._outcomes[assigned, ABANDONED] += 1
            return
        for failure in answered.failures:
            if failure.error is None:
                self._add_rows(failure.version, len(answered.rows), failure.n_failed_rows)
            if failure.version == assigned != version:
                self._events["fallbacks", assigned] += 1
        if version:
            self._add_rows(version, len(answered.rows), answered.n_failed)
            self._outcomes[version, ModelFailed.code if answered.n_failed else ANSWERED] += 1

    def _add_rows(self, version: str, n_rows: int, n_failed: int) -> None:
        self._events["rows", version] += n_rows
        if n_failed:
            self._events["failed_rows", version] += n_failed


def _code(failure: Failure) -> str:
    """The code of an error, or of a fault of the server itself."""
    error = failure.error
    if error is None:
        return ModelFailed.code
    return error.code if isinstance(error, HttpError) else InternalError.code
