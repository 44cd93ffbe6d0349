"""How far a field's numbers may reach."""

import numpy as np

from serve_app.contract import Feature
from serve_app.contract.block import US_PER_DAY
from serve_app.contract.feature import MOST_INT
from training.table import Numbers


def bounds(feature: Feature, known: Numbers) -> tuple[float, float]:
    """The lowest and highest number that a field may hold; far from all that was seen without."""
    if feature.dtype in ("date", "datetime"):
        # From 1900 to 2100: pipelines that count days overflow at the ends of what pandas holds.
        return (-25_567 * US_PER_DAY * 1.0, 47_482 * US_PER_DAY * 1.0)
    far = 1e3 * float(np.abs(known).max(initial=1.0))
    low = -far
    high = far
    if feature.minimum is not None:
        low = feature.minimum
    elif feature.exclusive_minimum is not None:
        low = feature.exclusive_minimum
    if feature.maximum is not None:
        high = feature.maximum
    if feature.dtype == "int":
        return (max(np.ceil(low), -MOST_INT), min(np.floor(high), MOST_INT))
    if feature.exclusive_minimum is not None:
        low = float(np.nextafter(low, np.inf))
    return (low, high)
