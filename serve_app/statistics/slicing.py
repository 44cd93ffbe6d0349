"""Groups of rows by one feature at a time: an average may hide one that is served badly."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY

# A number with at most this many values is sliced by value, another by quantile.
MAX_VALUES = 12
N_QUANTILES = 4
# A smaller slice says nothing.
MIN_ROWS = 30

Mask = NDArray[np.bool_]


def masks(column: NDArray[Any], feature: Feature) -> Iterator[tuple[str, Mask]]:
    """Yield label and rows (n_rows,) of each slice of a feature; missing values are one slice."""
    if feature.is_text:
        common = [value for value, _ in Counter(column).most_common(MAX_VALUES)]
        texts = [str(text) for text in feature.choices or common if text != MISSING_CATEGORY]
        yield from ((text, column == text) for text in texts)
        yield "missing", column == MISSING_CATEGORY
        return
    numbers = column.astype(np.float64)
    values = np.unique(numbers[~np.isnan(numbers)])
    if len(values) <= MAX_VALUES:
        yield from ((f"{value:g}", numbers == value) for value in values)
    else:
        yield from _quantile_masks(numbers)
    yield "missing", np.isnan(numbers)


def _quantile_masks(numbers: NDArray[np.float64]) -> Iterator[tuple[str, Mask]]:
    edges = np.unique(
        np.nanquantile(numbers, np.linspace(0, 1, N_QUANTILES + 1), method="inverted_cdf")
    )
    for low, high in pairwise(edges):
        is_last = high == edges[-1]
        inside = (numbers >= low) & ((numbers <= high) if is_last else (numbers < high))
        yield f"{low:g} to {'' if is_last else 'under '}{high:g}", inside
