"""When scores are those of the golden rows: as near as float noise lets them be."""

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Kind
from serve_app.contract.block import Scores

# Of a score far from all others: a sum of float64 in another order, as in a block of another size.
ROUNDING = 1e-9
# Sums of a few hundred trees in float32 are so far from those in float64.
LABEL_NOISE = 2e-6


def differing(
    found: Scores, expected: Scores, tolerance: float, threshold: float, kind: Kind
) -> NDArray[np.bool_]:
    """(n_rows,) where `found` is not what `expected` says.

    A row is right when every score is within `tolerance` (and ROUNDING of itself), and the label is
    the same; what is a tie at the threshold but for LABEL_NOISE is no other label. NaN, which says
    that a row is refused, is right where it is expected and nowhere else.
    """
    most = tolerance + ROUNDING * np.abs(expected)
    is_near = (np.abs(found - expected) <= most) | (np.isnan(found) & np.isnan(expected))
    close = np.asarray(is_near if is_near.ndim == 1 else is_near.all(axis=1))
    if kind == "binary_classifier":
        flipped = (found >= threshold) != (expected >= threshold)
        is_tie = np.abs(expected - threshold) <= LABEL_NOISE
        close &= ~flipped | is_tie | np.isnan(expected)
    differs: NDArray[np.bool_] = ~close
    return differs
