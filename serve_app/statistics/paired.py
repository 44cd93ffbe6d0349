"""Two versions measured on the same labelled rows, with intervals of their paired difference."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Metric
from serve_app.contract import ModelSpec
from serve_app.contract.block import Scores
from serve_app.statistics.quality import HIGHER_IS_BETTER, Truth, measures_of

N_RESAMPLES = 300
SEED = 0
# More or less of these is neither better nor worse by itself.
NEUTRAL_PREFIXES = ("coverage", "interval_width", "below_")


@dataclass(frozen=True)
class MeasuredPair:
    """A metric of both versions on the same rows, and its paired difference.

    The difference is candidate minus stable, whose interval does not hold the luck of the rows.
    """

    name: str
    stable: Metric
    candidate: Metric
    difference: Metric

    @property
    def wants_more(self) -> bool | None:
        """Whether more of it is better; None where it is neither better nor worse by itself."""
        if self.name.startswith(NEUTRAL_PREFIXES):
            return None
        return self.name in HIGHER_IS_BETTER or self.name.startswith("r2_")

    @property
    def verdict(self) -> str:
        """In one word, which is `better` or `worse` only where the difference is no chance.

        `changed` where more is neither better nor worse, such as a coverage.
        """
        if not (self.difference.low > 0 or self.difference.high < 0):
            return "alike"
        if self.wants_more is None:
            return "changed"
        is_better = (self.difference.value > 0) == self.wants_more
        return "better" if is_better else "worse"


def measure_both(
    spec: ModelSpec,
    truth: Truth,
    stable: Scores,
    candidate: Scores,
    parameters: tuple[Mapping[str, float], Mapping[str, float]],
) -> tuple[MeasuredPair, ...]:
    """Measure both versions on the same rows, each by the `parameters` of its own bundle.

    Intervals are percentiles of a bootstrap that takes the same rows for both: Efron and
    Tibshirani, 1993, chapter 13.
    """
    before = measures_of(spec, parameters[0])
    after = measures_of(spec, parameters[1])
    names = [name for name in before if name in after]
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    rng = np.random.default_rng(SEED)
    for n in range(N_RESAMPLES + 1):
        # The first "resample" is the rows themselves.
        rows = slice(None) if n == 0 else rng.integers(0, len(truth), len(truth))
        of_rows = truth[rows]
        ours = stable[rows]
        theirs = candidate[rows]
        for name in names:
            values[name].append((before[name](of_rows, ours), after[name](of_rows, theirs)))
    return tuple(_pair(name, np.array(values[name])) for name in names)


def _pair(name: str, values: NDArray[np.float64]) -> MeasuredPair:
    """From (1 + n_resamples, 2) values."""
    return MeasuredPair(
        name, _metric(values[:, 0]), _metric(values[:, 1]), _metric(values[:, 1] - values[:, 0])
    )


def _metric(values: NDArray[np.float64]) -> Metric:
    resampled = values[1:][~np.isnan(values[1:])]
    low, high = np.percentile(resampled, [2.5, 97.5]) if len(resampled) else (np.nan, np.nan)
    return Metric(value=float(values[0]), low=float(low), high=float(high))


def mean_difference(before: NDArray[np.float64], after: NDArray[np.float64]) -> Metric:
    """The mean of after minus before (n_rows,) with its paired bootstrap interval."""
    gap = after - before
    rng = np.random.default_rng(SEED)
    means = [gap[rng.integers(0, len(gap), len(gap))].mean() for _ in range(N_RESAMPLES)]
    return _metric(np.array([gap.mean(), *means]))
