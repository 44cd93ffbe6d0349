"""How good scores are, as numbers with 95 % bootstrap intervals."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from serve_app.bundle.manifest import Metric

Numbers = NDArray[np.float64]
# Of (target, score): both (n_rows,), or (n_rows, n_outputs) where a row has several.
Measure = Callable[[Numbers, Numbers], float]

N_RESAMPLES = 300
N_BINS = 10
CLIP = 1e-15


def auc(target: Numbers, score: Numbers) -> float:
    """Area under the ROC curve: the share of pairs in the right order (Mann and Whitney, 1947)."""
    n_positive = target.sum()
    n_pairs = n_positive * (len(target) - n_positive)
    if n_pairs == 0:
        return float("nan")
    ranks = rankdata(score)[target == 1].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / n_pairs)


def average_precision(target: Numbers, score: Numbers) -> float:
    """The mean precision over the steps of recall; equal scores count as one step."""
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(score[order])), len(order) - 1]
    hits = np.cumsum(target[order])[ends]
    if hits[-1] == 0:
        return float("nan")
    return float(np.sum(np.diff(hits, prepend=0) * hits / (ends + 1)) / hits[-1])


def brier(target: Numbers, score: Numbers) -> float:
    """The mean squared error of a probability (Brier, 1950)."""
    return float(np.mean((score - target) ** 2))


def log_loss(target: Numbers, score: Numbers) -> float:
    """The mean negative log-likelihood."""
    sure = np.clip(np.where(target == 1, score, 1 - score), CLIP, 1)
    return float(-np.mean(np.log(sure)))


def ece(target: Numbers, score: Numbers) -> float:
    """Expected calibration error over ten bins of equally many rows."""
    order = np.argsort(score, kind="stable")
    gaps = np.array([part.sum() for part in np.array_split((score - target)[order], N_BINS)])
    return float(np.abs(gaps).sum() / len(score))


def accuracy(target: Numbers, score: Numbers, threshold: float) -> float:
    """The share of right labels, cut at the model's threshold."""
    return float(np.mean((score >= threshold) == (target == 1)))


def mae(target: Numbers, score: Numbers) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.mean(np.abs(score - target)))


def rmse(target: Numbers, score: Numbers) -> float:
    """Root of the mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean((score - target) ** 2)))


def r2(target: Numbers, score: Numbers) -> float:
    """The share of the variance that is explained."""
    variance = np.sum((target - target.mean()) ** 2)
    return float(1 - np.sum((score - target) ** 2) / max(variance, CLIP))


HIGHER_IS_BETTER = frozenset(
    {"auc", "average_precision", "accuracy", "balanced_accuracy", "macro_f1", "r2"}
)
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
    """The rows of each bootstrap sample, drawn with replacement."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, n_rows, n_rows) for _ in range(N_RESAMPLES)]


def interval(value: float, resampled: list[float]) -> Metric:
    """A number with the middle 95 % of what it is on resampled rows."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Metric(value=value, low=float(low), high=float(high))
