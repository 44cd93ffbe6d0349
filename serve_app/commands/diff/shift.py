"""How much two versions differ on the same rows. A difference is candidate minus stable."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from serve_app.commands.diff.scoring import Column, Scored
from serve_app.contract import Feature
from serve_app.contract.block import Scores
from serve_app.statistics.disagreement import Comparison
from serve_app.statistics.intervals import wilson
from serve_app.statistics.slicing import MIN_ROWS, Mask, masks

# Of the rows: among many small slices, one always differs much.
MIN_SHARE = 0.02


@dataclass(frozen=True)
class Flips:
    """Rows with another label, or for a regressor: with an answer outside stable's interval.

    `n_up` of them to the positive label or above the interval; `low` to `high` is the 95 % interval
    of the share.
    """

    n: int
    n_up: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class SliceShift:
    """The shift among the rows with one value, or one range, of one feature."""

    feature: str
    label: str
    n_rows: int
    mean: float
    n_flips: int


@dataclass(frozen=True)
class Shift:
    """What changes for these rows. `largest` is the difference that is farthest from 0.

    `flips` is None where nothing was compared, and for a regressor whose bundle has no interval.
    `slices` has the slice of each feature with the mean farthest from 0, the farthest first.
    """

    n_rows: int
    n_compared: int
    n_stable_only: int
    n_candidate_only: int
    mean: float | None
    largest: float | None
    flips: Flips | None
    slices: tuple[SliceShift, ...]


def shift(scored: Scored, comparison: Comparison) -> Shift:
    """Compare where both versions answer; rows that only one of them answers are counted."""
    by_stable = ~np.isnan(scored.stable)
    by_candidate = ~np.isnan(scored.candidate)
    both = by_stable & by_candidate
    before = scored.stable[both]
    after = scored.candidate[both]
    difference = after - before
    flipped = comparison.disagree(before, after) if comparison.has_limit else None
    return Shift(
        n_rows=len(both),
        n_compared=int(both.sum()),
        n_stable_only=int((by_stable & ~by_candidate).sum()),
        n_candidate_only=int((by_candidate & ~by_stable).sum()),
        mean=float(difference.mean()) if both.any() else None,
        largest=float(difference[np.argmax(np.abs(difference))]) if both.any() else None,
        flips=None if flipped is None or not both.any() else _flips(flipped, difference),
        slices=_worst(
            {feature: column[both] for feature, column in scored.columns.items()},
            difference,
            flipped,
        ),
    )


def _flips(flipped: Mask, difference: Scores) -> Flips:
    n = int(flipped.sum())
    n_rows = len(flipped)
    low, high = wilson(n, n_rows)
    return Flips(n, int((flipped & (difference > 0)).sum()), n / n_rows, low, high)


def _worst(
    columns: dict[Feature, Column], difference: Scores, flipped: Mask | None
) -> tuple[SliceShift, ...]:
    worst = []
    for feature, column in columns.items():
        found = list(_slices(feature, column, difference, flipped))
        worst += [max(found, key=lambda part: abs(part.mean))] if found else []
    return tuple(sorted((part for part in worst if part.mean), key=lambda part: -abs(part.mean)))


def _slices(
    feature: Feature, column: Column, difference: Scores, flipped: Mask | None
) -> Iterator[SliceShift]:
    least = max(MIN_ROWS, MIN_SHARE * len(column))
    for label, mask in masks(column, feature) if len(column) else ():
        n_rows = int(mask.sum())
        if n_rows >= least:
            n_flips = 0 if flipped is None else int(flipped[mask].sum())
            yield SliceShift(feature.name, label, n_rows, float(difference[mask].mean()), n_flips)
