"""Split conformal prediction: an interval that covers the truth as often as it says.

That is so whatever the model is.
"""

import math

import numpy as np

from training.errors import InvalidData
from training.table import Numbers

COVERAGE = 0.9


def half_width(target: Numbers, score: Numbers, coverage: float = COVERAGE) -> float:
    """Find the interval's half-width around a score, from rows that the pipeline was not fitted on.

    It is the ceil((n + 1) * coverage)-th smallest absolute residual (Lei et al., 2018, algorithm
    2): on new rows of the same kind the interval covers the truth with at least this probability.
    Raises InvalidData when there are too few rows.
    """
    n_rows = len(target)
    rank = _ceil((n_rows + 1) * coverage)
    if rank > n_rows:
        n_needed = _ceil(coverage / (1 - coverage))
        raise InvalidData(
            f"calibration: found {n_rows} rows, expected at least {n_needed} for an interval of "
            f"{coverage:.0%}. Give more rows."
        )
    return float(np.sort(np.abs(target - score))[rank - 1])


def share_inside(target: Numbers, score: Numbers, width: float) -> float:
    """Measure the share of rows whose target lies within `width` around its score."""
    return float(np.mean(np.abs(target - score) <= width))


def _ceil(number: float) -> int:
    """The ceiling, with 9.000000000000002 taken for the 9 that it stands for."""
    return math.ceil(round(number, 9))
