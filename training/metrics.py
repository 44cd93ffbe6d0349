"""How good scores are, as numbers with 95 % bootstrap intervals."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Metric
from serve_app.statistics.paired import N_RESAMPLES
from serve_app.statistics.quality import (
    CLIP,
    HIGHER_IS_BETTER,
    absolute_errors,
    accuracy,
    auc,
    average_precision,
    ece,
    log_losses,
    r2,
    squared_errors,
)

__all__ = [
    "CLIP",
    "accuracy",
    "auc",
    "average_precision",
    "brier",
    "difference",
    "direction",
    "ece",
    "log_loss",
    "mae",
    "measure",
    "r2",
    "rmse",
]

Numbers = NDArray[np.float64]
# Of (target, score): both (n_rows,), or (n_rows, n_outputs) where a row has several.
Measure = Callable[[Numbers, Numbers], float]


def brier(target: Numbers, score: Numbers) -> float:
    """The mean squared error of a probability (Brier, 1950)."""
    return float(squared_errors(target, score).mean())


def log_loss(target: Numbers, score: Numbers) -> float:
    """The mean negative log-likelihood."""
    return float(log_losses(target, score).mean())


def mae(target: Numbers, score: Numbers) -> float:
    """Mean absolute error, in the target's unit."""
    return float(absolute_errors(target, score).mean())


def rmse(target: Numbers, score: Numbers) -> float:
    """Root of the mean squared error, in the target's unit."""
    return float(np.sqrt(squared_errors(target, score).mean()))


LOWER_IS_BETTER = frozenset({"brier", "log_loss", "ece", "mae", "rmse", "relative_mae", "pinball"})
# Of one output each: `mae_minutes`.
BY_OUTPUT = ("mae", "rmse", "r2")


def direction(name: str) -> int:
    """1 where a higher value of this metric is better, -1 where a lower one is, 0 for neither."""
    base, _, output = name.partition("_")
    if output and base in BY_OUTPUT:
        name = base
    return (name in HIGHER_IS_BETTER) - (name in LOWER_IS_BETTER)


def measure(
    measures: Mapping[str, Measure], target: Numbers, score: Numbers, seed: int = 0
) -> dict[str, Metric]:
    """Take each measure with its percentile bootstrap interval.

    Efron and Tibshirani, 1993, chapter 13.
    """
    picks = resamples(len(target), seed)
    found = {}
    for name, function in measures.items():
        resampled = [function(target[rows], score[rows]) for rows in picks]
        found[name] = interval(function(target, score), resampled)
    return found


def difference(
    function: Measure, target: Numbers, score: Numbers, other: Numbers, seed: int = 0
) -> Metric:
    """Take the measure of `score` minus that of `other`.

    Both are on the same resampled rows, so that their luck cancels out.
    """
    picks = resamples(len(target), seed)
    gaps = [
        function(target[rows], score[rows]) - function(target[rows], other[rows]) for rows in picks
    ]
    return interval(function(target, score) - function(target, other), gaps)


def resamples(n_rows: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """The rows of each of N_RESAMPLES bootstrap samples, (n_rows,) each, drawn with replacement."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, n_rows, n_rows) for _ in range(N_RESAMPLES)]


def interval(value: float, resampled: list[float]) -> Metric:
    """A number with the middle 95 % of what it is on resampled rows."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Metric(value=value, low=float(low), high=float(high))
