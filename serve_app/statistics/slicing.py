"""Groups of rows by one feature at a time: an average may hide one that is served badly."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY
from serve_app.statistics.labels import MISSING, OTHER, shown

# A number with at most this many values is sliced by value, another by quantile. Of an open text so
# many of the most frequent ones are slices.
MAX_VALUES = 12
N_QUANTILES = 4
# A closed list with more texts is sliced as an open one.
MAX_TEXTS = 50
MAX_LABEL = 40
# A smaller slice says nothing.
MIN_ROWS = 30
DIGITS = 6

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """The rows with one value, or one range, of one feature."""

    feature: str
    label: str
    n_rows: int


def masks(column: NDArray[Any], feature: Feature) -> Iterator[tuple[str, Mask]]:
    """Yield label and rows (n_rows,) of each slice of a feature; missing values are one slice.

    `column` is as it stands in a block. Of texts the frequent ones have a slice each, and all
    others one together. Dates have labels in ISO 8601.
    """
    if feature.is_text:
        yield from _text_masks(column, feature)
        return
    numbers = column.astype(np.float64)
    values = np.unique(numbers[~np.isnan(numbers)])
    if len(values) <= MAX_VALUES:
        yield from ((shown(value, feature, DIGITS), numbers == value) for value in values)
    else:
        yield from _quantile_masks(numbers, feature)
    yield MISSING, np.isnan(numbers)


def _text_masks(column: NDArray[Any], feature: Feature) -> Iterator[tuple[str, Mask]]:
    counts = Counter(column)
    is_missing = column == MISSING_CATEGORY
    del counts[MISSING_CATEGORY]
    # A list that is known, and can be read, is shown in its own order.
    texts = [str(choice) for choice in feature.choices or ()]
    if not texts or len(texts) > MAX_TEXTS:
        texts = [text for text, _ in counts.most_common(MAX_VALUES)]
    is_other = ~is_missing
    for text in texts:
        mask = column == text
        is_other &= ~mask
        yield _short(text), mask
    if is_other.any():
        yield OTHER, is_other
    yield MISSING, is_missing


def _quantile_masks(numbers: NDArray[np.float64], feature: Feature) -> Iterator[tuple[str, Mask]]:
    edges = np.unique(
        np.nanquantile(numbers, np.linspace(0, 1, N_QUANTILES + 1), method="inverted_cdf")
    )
    for low, high in pairwise(edges):
        is_last = high == edges[-1]
        inside = (numbers >= low) & ((numbers <= high) if is_last else (numbers < high))
        ends = [shown(edge, feature, DIGITS) for edge in (low, high)]
        yield f"{ends[0]} to {'' if is_last else 'under '}{ends[1]}", inside


def _short(text: str) -> str:
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"
