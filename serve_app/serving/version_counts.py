"""What each version was asked, what came of it, how long it took, and which scores it gave."""

from collections import Counter

from serve_app.contract.block import Scores
from serve_app.errors import HttpError, InternalError, ModelFailed
from serve_app.serving.answer import Answered, Failure
from serve_app.serving.versions import Versions
from serve_app.statistics.histogram import Histogram
from serve_app.statistics.score_bins import ScoreBins

ANSWERED = "answered"
ABANDONED = "abandoned"


class ScoreCounts:
    """Rows by the bin of their score, since the start.

    The bins are those of the version's own bundle, which training froze: tenths of the scores that
    it gave to the hold-out, or its classes. As long as nothing has changed, a tenth of all rows
    lies in each of the tenths.
    """

    def __init__(self, bins: ScoreBins) -> None:
        self._bins = bins
        self._counts = [0] * bins.n_bins

    def add(self, scores: Scores) -> None:
        """Count the scores of one request; a row that failed has none."""
        for place, count in enumerate(self._bins.counts(scores)):
            self._counts[place] += count

    def add_one(self, scores: Scores) -> None:
        """Count the score of a request with one row, which has not failed: 5 µs less."""
        self._counts[self._bins.bin_of(scores[0].tolist())] += 1

    def by_bin(self) -> dict[str, int]:
        """By the name of a class, or by the upper edge of a bin."""
        return dict(zip(self._bins.names, self._counts, strict=True))


class VersionCounts:
    """Counts by version, since the start; an observer of answers.

    `outcomes` holds (version, outcome) → requests: `answered`, `abandoned` (the client left), or
    the code of the error by which the version did not answer (docs/errors.md). `times` are those of
    requests that a version answered by itself. `scores` are of all rows that it answered.
    """

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.times: dict[str, Histogram] = {}
        self.scores: dict[str, ScoreCounts] = {}

    def heard(self, answered: Answered) -> None:
        """Add one request."""
        for failure in answered.failures:
            self.outcomes[failure.version, _code(failure)] += 1
        assigned = answered.assigned.version
        if answered.is_abandoned:
            self.outcomes[assigned, ABANDONED] += 1
            return
        version = answered.version
        if not version:
            return
        self.outcomes[version, ModelFailed.code if answered.n_failed else ANSWERED] += 1
        if version == assigned:
            self._times(version).add(answered.seconds)
        self._count_scores(version, answered)

    def _times(self, version: str) -> Histogram:
        found = self.times.get(version)
        if found is None:
            found = self.times[version] = Histogram()
        return found

    def _count_scores(self, version: str, answered: Answered) -> None:
        scores = answered.scores
        if scores is None:
            return
        found = self.scores.get(version)
        if found is None:
            opened = self._versions.ready(version)
            if opened is None:
                # It has left the table while it answered.
                return
            found = self.scores[version] = ScoreCounts(ScoreBins(opened.manifest))
        if len(scores) == 1 and not answered.n_failed:
            found.add_one(scores)
        else:
            found.add(scores)


def _code(failure: Failure) -> str:
    """The code of an error, or of a fault of the server itself."""
    error = failure.error
    if error is None:
        return ModelFailed.code
    return error.code if isinstance(error, HttpError) else InternalError.code
