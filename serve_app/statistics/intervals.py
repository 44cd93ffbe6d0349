"""How sure a share is."""

from math import sqrt

# The 97.5 % quantile of the normal distribution, for intervals of 95 %.
Z = 1.959964


def wilson(n_hits: int, n_rows: int) -> tuple[float, float]:
    """The 95 % score interval of a share, which holds for few rows and for shares of 0 and 1.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    share = n_hits / n_rows
    z2 = Z * Z / n_rows
    middle = share + z2 / 2
    half = sqrt(z2 * (share * (1 - share) + z2 / 4))
    low = (middle - half) / (1 + z2)
    high = (middle + half) / (1 + z2)
    return max(0.0, low), min(1.0, high)
