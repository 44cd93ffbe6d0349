"""What a coordinator heard of labels and scores that its file may lack: it can be heard again."""

from collections.abc import Mapping
from typing import Self

from serve_app.monitoring.labels.shapes import Label
from serve_app.monitoring.quality.book import Book
from serve_app.monitoring.quality.sums import Sums, add_to
from serve_app.monitoring.quality.unjudged import S_PER_DAY

# Some 100 MB, where a store is away for long.
MOST_LABELS = 200_000


class Additions:
    """Labels and metrics as they came, and sums of scores by day and version."""

    def __init__(self) -> None:
        self._labels: list[Label] = []
        self._scores: dict[int, dict[str, Sums]] = {}
        self._metrics: dict[str, Mapping[str, float]] = {}

    def __bool__(self) -> bool:
        """Whether there are labels or scores: metrics alone come with each report."""
        return bool(self._labels or self._scores)

    def add(
        self,
        labels: tuple[Label, ...],
        scores: Mapping[str, Sums],
        metrics: Mapping[str, Mapping[str, float]],
        now_s: float,
    ) -> int:
        """Add a report; the number of labels for which there was no room."""
        room = MOST_LABELS - len(self._labels)
        self._labels.extend(labels[:room])
        self._metrics.update(metrics)
        self._add_scores(int(now_s // S_PER_DAY), scores)
        return max(len(labels) - room, 0)

    def merge(self, later: Self) -> None:
        """Add what was heard after it."""
        room = MOST_LABELS - len(self._labels)
        self._labels.extend(later._labels[:room])
        self._metrics.update(later._metrics)
        for day, scores in later._scores.items():
            self._add_scores(day, scores)

    def tell(self, book: Book, now_s: float) -> None:
        """Let a book hear it; labels that it has counted already count no more."""
        book.know(self._metrics)
        book.add_labels(self._labels, now_s)
        for day, scores in self._scores.items():
            book.add_scores(scores, day * S_PER_DAY)

    def _add_scores(self, day: int, scores: Mapping[str, Sums]) -> None:
        for version, sums in scores.items():
            add_to(self._scores.setdefault(day, {}).setdefault(version, {}), sums)
