"""How sure a share is."""

from math import sqrt

Z = 1.959964  # 95 %


def wilson(n_hits: int, n_rows: int) -> tuple[float, float]:
    """The 95 % score interval of a share, sound for few rows and for shares of 0 and 1 (Wilson,
    1927, JASA 22:209).
    """
    share, z2 = n_hits / n_rows, Z * Z / n_rows
    middle, half = share + z2 / 2, sqrt(z2 * (share * (1 - share) + z2 / 4))
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))
