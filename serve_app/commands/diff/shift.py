"""How much two versions differ on the same rows. A difference is candidate minus stable."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from serve_app.commands.diff.scoring import Column, Scored
from serve_app.contract import Feature
from serve_app.contract.block import Scores, has_failed
from serve_app.statistics.disagreement import Comparison, best_class
from serve_app.statistics.intervals import wilson
from serve_app.statistics.slicing import MIN_ROWS, Mask, Slice, masks

# Of the rows: among many small slices, one always differs much.
MIN_SHARE = 0.02


@dataclass(frozen=True)
class FlipGroup:
    """Flips of one sort: from one class to another, or of one output that left its interval."""

    name: str
    n: int


@dataclass(frozen=True)
class Flips:
    """Rows with another label, or for a regressor: with an answer outside stable's interval.

    `n_up` of them to the positive label, above the interval, or no longer an anomaly; None for
    several classes or outputs, which have `groups` instead, the largest first. `low` to `high` is
    the 95 % interval of the share.
    """

    n: int
    n_up: int | None
    share: float
    low: float
    high: float
    groups: tuple[FlipGroup, ...] = ()


@dataclass(frozen=True)
class SliceShift(Slice):
    """The shift among the rows of one slice."""

    mean: float
    n_flips: int


@dataclass(frozen=True)
class Shift:
    """What changes for these rows.

    `mean` is of the one number that stands for a row (`Comparison.difference`). `largest` is the
    difference of any score that is farthest from 0, and `largest_of` names its class or output.
    `flips` is None where nothing was compared, and for a regressor whose bundle has no interval.
    `slices` has the slice of each feature with the mean farthest from 0, the farthest first.
    """

    n_rows: int
    n_compared: int
    n_stable_only: int
    n_candidate_only: int
    mean: float | None
    largest: float | None
    largest_of: str | None
    flips: Flips | None
    slices: tuple[SliceShift, ...]


def shift(scored: Scored, comparison: Comparison) -> Shift:
    """Compare where both versions answer; rows that only one of them answers are counted."""
    by_stable = ~has_failed(scored.stable)
    by_candidate = ~has_failed(scored.candidate)
    both = by_stable & by_candidate
    before = scored.stable[both]
    after = scored.candidate[both]
    difference = comparison.difference(before, after)
    flipped = comparison.disagree(before, after) if comparison.has_limit else None
    largest, largest_of = _largest(before, after, comparison)
    flips = None
    if flipped is not None and both.any():
        flips = _flips(flipped, before, after, comparison)
    return Shift(
        n_rows=len(both),
        n_compared=int(both.sum()),
        n_stable_only=int((by_stable & ~by_candidate).sum()),
        n_candidate_only=int((by_candidate & ~by_stable).sum()),
        mean=float(difference.mean()) if both.any() else None,
        largest=largest,
        largest_of=largest_of,
        flips=flips,
        slices=_worst(
            {feature: column[both] for feature, column in scored.columns.items()},
            difference,
            flipped,
        ),
    )


def _largest(
    before: Scores, after: Scores, comparison: Comparison
) -> tuple[float | None, str | None]:
    if not len(before):
        return None, None
    gap = after - before
    place = np.unravel_index(np.argmax(np.abs(gap)), gap.shape)
    return float(gap[place]), comparison.names[int(place[1])] if len(place) > 1 else None


def _flips(flipped: Mask, before: Scores, after: Scores, comparison: Comparison) -> Flips:
    n = int(flipped.sum())
    n_rows = len(flipped)
    low, high = wilson(n, n_rows)
    n_up = None
    if comparison.kind not in ("class", "outputs"):
        n_up = int((flipped & _goes_up(before, after, comparison)).sum())
    return Flips(n, n_up, n / n_rows, low, high, _groups(flipped, before, after, comparison))


def _goes_up(before: Scores, after: Scores, comparison: Comparison) -> Mask:
    """(n_rows,) for rows that flip: whether the candidate's answer is the higher one."""
    if comparison.kind == "label":
        return np.asarray(after >= comparison.candidate_threshold)
    return np.asarray(comparison.difference(before, after) > 0)


def _groups(
    flipped: Mask, before: Scores, after: Scores, comparison: Comparison
) -> tuple[FlipGroup, ...]:
    names = comparison.names
    counts: Counter[str] = Counter()
    if comparison.kind == "class":
        pairs = zip(best_class(before[flipped]), best_class(after[flipped]), strict=True)
        counts.update(f"{names[old]} → {names[new]}" for old, new in pairs)
    elif comparison.kind == "outputs":
        n_outside = comparison.outside(before, after).sum(axis=0)
        counts.update({name: int(n) for name, n in zip(names, n_outside, strict=True) if n})
    return tuple(FlipGroup(name, n) for name, n in counts.most_common())


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
