"""Error by slice: a good average may hide a group that the model serves badly."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from serve_app.block import MISSING_CATEGORY
from serve_app.contract import Feature
from training.candidate import Candidate
from training.metrics import brier, mae

MAX_VALUES = 12  # a number with at most this many values is sliced by value, else by quantile
N_QUANTILES = 4
MIN_ROWS = 30  # a smaller slice says nothing

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """The rows with one value, or one range, of one feature.

    `error` is the Brier score or the mean absolute error; `bias` is mean prediction minus mean truth.
    """

    feature: str
    label: str
    n_rows: int
    truth: float
    predicted: float
    error: float
    coverage: float | None

    @property
    def bias(self) -> float:
        """Above zero: predicted too high on average."""
        return self.predicted - self.truth


def slices(candidate: Candidate) -> list[Slice]:
    """Every slice of the hold-out with enough rows, in the order of the contract."""
    return [
        _slice(candidate, feature.name, label, mask)
        for feature in candidate.spec.contract
        for label, mask in _masks(candidate.holdout.frame[feature.name].to_numpy(), feature)
        if mask.sum() >= MIN_ROWS
    ]


def _slice(candidate: Candidate, feature: str, label: str, mask: Mask) -> Slice:
    target, score = candidate.holdout.target[mask], candidate.scores[mask]
    is_regressor = candidate.spec.kind == "regressor"
    return Slice(
        feature=feature,
        label=label,
        n_rows=int(mask.sum()),
        truth=float(target.mean()),
        predicted=float(score.mean()),
        error=(mae if is_regressor else brier)(target, score),
        coverage=float(np.mean(np.abs(target - score) <= candidate.parameters["half_width"])) if is_regressor else None,
    )


def _masks(column: NDArray[np.generic], feature: Feature) -> Iterator[tuple[str, Mask]]:
    """Label and rows of each slice of one feature; missing values are a slice of their own."""
    if feature.dtype == "category":
        yield from ((str(value), column == value) for value in feature.choices or ())
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
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, N_QUANTILES + 1), method="inverted_cdf"))
    for low, high in pairwise(edges):
        is_last = high == edges[-1]
        inside = (numbers >= low) & ((numbers <= high) if is_last else (numbers < high))
        yield f"{low:g} to {'' if is_last else 'under '}{high:g}", inside
