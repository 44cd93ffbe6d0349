"""Split conformal prediction: an interval that holds the truth as often as it says, whatever the model."""

import math

import numpy as np

from training.errors import InvalidData
from training.table import Numbers

COVERAGE = 0.9


def half_width(target: Numbers, score: Numbers, coverage: float = COVERAGE) -> float:
    """The half-width of the interval around a score, from rows that the pipeline was not fitted on.

    The ceil((n + 1) * coverage)-th smallest absolute residual (Lei et al., 2018, algorithm 2): on new rows
    of the same kind the interval holds the truth with at least this probability.
    """
    n_rows = len(target)
    rank = _ceil((n_rows + 1) * coverage)
    if rank > n_rows:
        raise InvalidData(
            f"calibration: found {n_rows} rows, expected at least {_ceil(coverage / (1 - coverage))} "
            f"for an interval of {coverage:.0%}. Give more rows."
        )
    return float(np.sort(np.abs(target - score))[rank - 1])


def share_inside(target: Numbers, score: Numbers, width: float) -> float:
    """The share of rows whose target lies within the half-width `width` around its score."""
    return float(np.mean(np.abs(target - score) <= width))


def _ceil(number: float) -> int:
    """The ceiling, with 9.000000000000002 taken for the 9 that it stands for."""
    return math.ceil(round(number, 9))
