"""How sure a share is."""

from math import sqrt

# Quantiles of the normal distribution, for intervals of 95 and of 99.95 %.
Z = 1.959964
SURE_Z = 3.480756


def wilson(n_hits: float, n_rows: float, z: float = Z) -> tuple[float, float]:
    """The score interval of a share, which holds for few rows and for shares of 0 and 1.

    It is that of 95 % unless `z` says otherwise.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    share = n_hits / n_rows
    z2 = z * z / n_rows
    middle = share + z2 / 2
    half = sqrt(z2 * (share * (1 - share) + z2 / 4))
    low = (middle - half) / (1 + z2)
    high = (middle + half) / (1 + z2)
    return max(0.0, low), min(1.0, high)
