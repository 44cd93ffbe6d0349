"""What the counts of one field are compared with: training's counts in the same bins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from serve_app.bundle.manifest import Reference
from serve_app.contract import Feature
from serve_app.contract.plain_text import plain
from serve_app.monitoring.drift_bins import DATE_TAIL, Counts, listed_texts, range_edges
from serve_app.statistics.calendar import MONTHS, WEEKDAYS
from serve_app.statistics.labels import MISSING, shown
from serve_app.statistics.psi import drift_limit, psi

MOST_LABEL = 40
# With fewer rows on either side nothing is compared.
LEAST_ROWS = 50
LEAST_TRAINING_ROWS = 200
# Of the dates of a field: where more of them are near to now, the field moves with the clock.
MOST_FRESH = 0.5

BELOW = "below everything seen in training"
ABOVE = "above everything seen in training"
UNSEEN = "never seen in training"
OTHER = "any other text"
FAILED = "failed"


@dataclass(frozen=True)
class Histogram:
    """Rows of training and live ones in the same bins, with what is said of a row in each bin."""

    training: Counts
    live: Counts
    said: Sequence[str]

    @property
    def is_enough(self) -> bool:
        """Whether there are rows enough on both sides to compare them."""
        return bool(self.live.sum() >= LEAST_ROWS and self.training.sum() >= LEAST_TRAINING_ROWS)

    def psi(self) -> float:
        """The PSI over the bins that have rows on either side."""
        used = self._used()
        return psi(self.training[used].tolist(), self.live[used].tolist())

    def limit(self, n_compared: int) -> float:
        """The PSI above which the live rows have drifted."""
        n_bins = int(np.count_nonzero(self._used()))
        return drift_limit(n_bins, int(self.training.sum()), int(self.live.sum()), n_compared)

    def worst(self) -> str:
        """Name the bin whose share changed most, with its share in training.

        What there is more of is easier to look for than what there is less of: it counts twice.
        """
        change = self.live / self.live.sum() - self.training / self.training.sum()
        place = int(np.argmax(np.where(change > 0, 2 * change, -change)))
        now = percent(self.live[place], self.live.sum())
        before = percent(self.training[place], self.training.sum())
        said = self.said[place]
        if said.startswith((BELOW, ABOVE, UNSEEN)):
            return f"{now} {said}"
        return f"{now} {said}, {before} in training"

    def fullest(self) -> tuple[str, float, float]:
        """The bin with most live rows in words, with its share of them and of training's."""
        place = int(np.argmax(self.live))
        n_live = max(1, int(self.live.sum()))
        n_training = max(1, int(self.training.sum()))
        shares = float(self.live[place]) / n_live, float(self.training[place]) / n_training
        return self.said[place], *shares

    def _used(self) -> np.ndarray:
        return np.asarray((self.training + self.live) > 0)


def percent(part: float, whole: float) -> str:
    """A share as people read it: two digits below ten percent, else none behind the point."""
    share = 100 * part / whole if whole else 0.0
    digits = 0 if share >= 10 or share == 0 else 1 if share >= 1 else 2
    return f"{share:.{digits}f} %"


@dataclass(frozen=True)
class FieldCounts:
    """One field or score in a window.

    `n_outside`: rows below or above training's range; None where it has none. `n_unseen`: rows with
    a text that training never had; None where that cannot be told. `moves`: its dates are those of
    the moment, so that nothing is compared.
    """

    histograms: tuple[Histogram, ...]
    n_rows: int
    n_missing: int
    n_outside: int | None = None
    n_unseen: int | None = None
    moves: bool = False


def number_counts(
    reference: Reference, feature: Feature, live: Counts, missing: str = MISSING
) -> FieldCounts:
    """Of a number: `live` is (width,), as `NumberGrid` counts; `missing` says what NaN is."""
    edges = range_edges(reference)
    training = np.zeros_like(live)
    training[-1] = reference.n_missing or 0
    said = [""] * len(live)
    said[-1] = missing
    said[0] = "with a value, where training had none"
    n_outside = None
    if edges:
        training[1 : len(edges)] = reference.counts
        lowest = shown(edges[0], feature)
        highest = shown(reference.maximum or 0.0, feature)
        said[0] = f"{BELOW} ({lowest})"
        said[1 : len(edges)] = _spans(edges, feature, highest)
        said[len(edges)] = f"{ABOVE} ({highest})"
        n_outside = int(live[0] + live[len(edges)])
    histogram = Histogram(training, live, said)
    return FieldCounts((histogram,), int(live.sum()), int(live[-1]), n_outside)


def _spans(edges: Sequence[float], feature: Feature, highest: str) -> Iterator[str]:
    """What is said of each bin between the ends of training's range."""
    texts = [shown(edge, feature) for edge in edges[:-1]]
    for low, high in pairwise(texts):
        yield low if feature.dtype == "bool" else f"from {low} to under {high}"
    yield texts[-1] if texts[-1] == highest else f"from {texts[-1]} to {highest}"


def text_counts(reference: Reference, live: Counts) -> FieldCounts:
    """Of a text: `live` has the listed ones, others, unseen and missing ones.

    Unseen ones are compared among the others: some of the seldom ones are always new.
    """
    listed = listed_texts(reference)
    by_text = dict(zip(reference.values or (), reference.counts, strict=True))
    counts = [by_text[text] for text in listed]
    n_other = sum(reference.counts) - sum(counts) + reference.n_unlisted
    training = np.array([*counts, n_other, reference.n_missing], dtype=np.int64)
    *of_listed, n_seldom, n_unseen, n_missing = live.tolist()
    merged = np.array([*of_listed, n_seldom + n_unseen, n_missing], dtype=np.int64)
    said = [*(f'"{_short(text)}"' for text in listed), OTHER if n_other else UNSEEN, MISSING]
    return FieldCounts(
        (Histogram(training, merged, said),),
        int(live.sum()),
        n_missing,
        n_unseen=None if reference.n_unlisted else n_unseen,
    )


def date_counts(reference: Reference, live: Counts) -> FieldCounts:
    """Of a date: `live` has months, weekdays, and the tail of `drift_bins`."""
    months, weekdays, tail = np.split(live, [len(MONTHS), -DATE_TAIL])
    n_below, n_above, n_fresh, n_missing = tail.tolist()
    n_dates = int(months.sum())
    histograms = tuple(
        Histogram(
            np.array([*(training or ()), reference.n_missing], dtype=np.int64),
            np.append(counts, n_missing),
            [*(f"{word} {name}" for name in names), MISSING],
        )
        for training, counts, names, word in (
            (reference.months, months, MONTHS, "in"),
            (reference.weekdays, weekdays, WEEKDAYS, "on a"),
        )
    )
    return FieldCounts(
        histograms,
        n_dates + n_missing,
        n_missing,
        n_outside=n_below + n_above,
        moves=n_fresh > MOST_FRESH * n_dates,
    )


def class_counts(reference: Reference, live: Counts) -> FieldCounts:
    """Of a classifier's answers: `live` has each class, and the rows that failed."""
    training = np.array([*reference.counts, reference.n_missing], dtype=np.int64)
    said = [*(f'answered "{_short(name)}"' for name in reference.values or ()), FAILED]
    return FieldCounts((Histogram(training, live, said),), int(live.sum()), int(live[-1]))


def _short(text: str) -> str:
    text = plain(text)
    return text if len(text) <= MOST_LABEL else text[: MOST_LABEL - 1] + "…"
