"""Rows and scores counted into the bins that training froze.

What is counted are integers: they add up over rows, servers and time.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Manifest, Reference
from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout, Scores, has_failed
from serve_app.statistics.calendar import MONTHS, WEEKDAYS, months_of, weekdays_of
from serve_app.statistics.disagreement import best_class

# Raise it when a manifest gets other places: counts of different places cannot be added.
PLACES = 1
# Texts with a bin of their own: the most frequent ones in training.
MOST_TEXTS = 30
# Each with so many rows: which of many seldom texts came in training was chance.
LEAST_TEXT_ROWS = 10
# Dates that are so near to now belong to the moment, and move with the clock.
FRESH_US = 7 * 86_400_000_000
# Of a date after its months and weekdays: earlier and later than in training, near to now, missing.
DATE_TAIL = 4
DATE_SIZE = len(MONTHS) + len(WEEKDAYS) + DATE_TAIL
# Of a text after those that are listed: seldom in training, never in training, missing.
TEXT_TAIL = 3

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]


class NumberGrid:
    """Bins of several columns of numbers, counted together.

    Each column has `width` places: below training's range, its bins, above that range, unused ones,
    and the last one for NaN. What is counted is (n_columns · width,).
    """

    def __init__(self, references: Sequence[Reference]) -> None:
        edges = [range_edges(reference) for reference in references]
        # One more than anybody has: what is not below it is NaN.
        n_edges = 1 + max((len(own) for own in edges), default=0)
        self._edges = np.full((n_edges, len(edges), 1), np.inf)
        for i, own in enumerate(edges):
            self._edges[: len(own), i, 0] = own
        self.width = n_edges + 1
        self.size = self.width * len(edges)
        self._last = (np.arange(len(edges)) * self.width + n_edges)[:, np.newaxis]

    def count(self, columns: Numbers) -> Counts:
        """Count (n_columns, n_rows)."""
        n_below = np.zeros(columns.shape, dtype=np.uint8)
        for edge in self._edges:
            # NaN is below nothing, so that it stays at the last place. To add bytes to bytes takes
            # a fifth of the time of other sums.
            n_below += (columns < edge).view(np.uint8)
        return np.bincount((self._last - n_below).ravel(), minlength=self.size)


def range_edges(reference: Reference) -> list[float]:
    """The edges of a number with both ends of training's range: `edge[i-1] <= x < edge[i]`."""
    if reference.minimum is None or reference.maximum is None:
        return []
    above = float(np.nextafter(reference.maximum, np.inf))
    return [reference.minimum, *(reference.edges or ()), above]


def listed_texts(reference: Reference) -> list[str]:
    """The texts with a bin of their own, most frequent first."""
    counted = zip(reference.values or (), reference.counts, strict=True)
    often = [pair for pair in counted if pair[1] >= LEAST_TEXT_ROWS]
    by_count = sorted(often, key=lambda pair: -pair[1])
    return [value for value, _ in by_count[:MOST_TEXTS]]


def text_places(reference: Reference) -> tuple[Mapping[str, int], int, int]:
    """The place of each text that is known, that of every other text, and how many places."""
    listed = listed_texts(reference)
    size = len(listed) + TEXT_TAIL
    places = {MISSING_CATEGORY: size - 1}
    for value, count in zip(reference.values or (), reference.counts, strict=True):
        places[value] = size - 3 if count else size - 2
    places |= {value: place for place, value in enumerate(listed)}
    # Where training kept no more than its most frequent texts, another one may be among the rest.
    other = size - 3 if reference.n_unlisted else size - 2
    return places, other, size


def _fits(feature: Feature, reference: Reference | None) -> bool:
    """Whether a field can be counted: older bundles, and odd ones, have no such reference."""
    if reference is None or reference.n_missing is None:
        return False
    return feature.is_text == (reference.values is not None)


def _score_references(manifest: Manifest) -> Mapping[str, Reference]:
    """The references of the scores, where there is one for each score, or one of the classes."""
    found = manifest.score_references
    is_class = manifest.kind == "classifier"
    n_wanted = 1 if is_class else len(manifest.outputs) or 1
    fit = all(is_class == (reference.values is not None) for reference in found.values())
    return found if fit and len(found) == n_wanted else {}


class DriftBins:
    """Where rows and scores of one version are counted.

    The counts of a block are one vector (size,). `features` and `scores` say by name which part of
    it is whose. A field without a complete reference has no part: bundles before format 3 have
    none at all.
    """

    def __init__(
        self,
        manifest: Manifest,
        contract: Sequence[Feature],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._is_class = manifest.kind == "classifier"
        self.features: dict[str, slice] = {}
        self.scores: dict[str, slice] = {}
        self.size = 0
        known = manifest.references
        features = [feature for feature in contract if _fits(feature, known.get(feature.name))]
        layout = Layout(contract)
        self._columns: list[int] = []
        self._dates: list[tuple[int, Reference]] = []
        self._texts: list[tuple[int, Mapping[str, int], int, int]] = []
        numbers = []
        dates = []
        for feature in features:
            if feature.is_text:
                column = layout.category_names.index(feature.name)
                self._texts.append((column, *text_places(known[feature.name])))
                continue
            column = layout.number_names.index(feature.name)
            if known[feature.name].months is not None:
                self._dates.append((column, known[feature.name]))
                dates.append(feature.name)
            else:
                self._columns.append(column)
                numbers.append(feature.name)
        self._numbers = NumberGrid([known[name] for name in numbers])
        texts = [feature.name for feature in features if feature.is_text]
        self._place(self.features, numbers, [self._numbers.width] * len(numbers))
        self._place(self.features, dates, [DATE_SIZE] * len(dates))
        self._place(self.features, texts, [size for *_, size in self._texts])
        of_scores = _score_references(manifest)
        references = list(of_scores.values())
        self._score_grid = NumberGrid([] if self._is_class else references)
        widths = [self._score_grid.width] * len(references)
        if self._is_class:
            widths = [len(reference.counts) + 1 for reference in references]
        self._place(self.scores, list(of_scores), widths)

    def _place(self, parts: dict[str, slice], names: Sequence[str], sizes: Sequence[int]) -> None:
        for name, size in zip(names, sizes, strict=True):
            parts[name] = slice(self.size, self.size + size)
            self.size += size

    def count(self, block: Block, scores: Scores) -> Counts:
        """Count the rows of a block and their scores, (n_rows,) or (n_rows, n_outputs)."""
        columns = block.numbers.T
        parts = [self._numbers.count(columns[self._columns])]
        parts += [self._count_dates(columns[i], reference) for i, reference in self._dates]
        for column, places, other, size in self._texts:
            texts = block.categories[:, column].tolist()
            found = [places.get(text, other) for text in texts]
            parts.append(np.bincount(found, minlength=size))
        if self.scores:
            parts.append(self._count_scores(scores))
        return np.concatenate(parts).astype(np.int64, copy=False)

    def _count_dates(self, column: Numbers, reference: Reference) -> Counts:
        dates = column[~np.isnan(column)]
        months = np.bincount(months_of(dates), minlength=len(MONTHS))
        weekdays = np.bincount(weekdays_of(dates), minlength=len(WEEKDAYS))
        n_below = n_above = 0
        if reference.minimum is not None and reference.maximum is not None:
            n_below = int(np.count_nonzero(dates < reference.minimum))
            n_above = int(np.count_nonzero(dates > reference.maximum))
        n_fresh = np.count_nonzero(np.abs(dates - self._clock() * 1e6) <= FRESH_US)
        tail = (n_below, n_above, n_fresh, len(column) - len(dates))
        return np.concatenate([months, weekdays, tail])

    def _count_scores(self, scores: Scores) -> Counts:
        if not self._is_class:
            columns = scores.reshape(len(scores), -1).T
            failed = has_failed(scores)
            return self._score_grid.count(np.where(failed, np.nan, columns))
        (part,) = self.scores.values()
        size = part.stop - part.start
        places = np.where(has_failed(scores), size - 1, best_class(scores))
        return np.bincount(places, minlength=size)
