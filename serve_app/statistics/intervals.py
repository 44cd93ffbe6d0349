"""How sure a share is."""

from math import inf, log, sqrt

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


def surprise(n_hits: int, n_rows: int, share: float) -> float:
    """Return how unlikely so many hits are where each row is one with this share: -ln P, or less.

    0 where there are no more than expected, and infinite where the share is 0. That far out, and
    with few rows, the score interval claims more than it knows; this claims less.

    Hoeffding, "Probability inequalities for sums of bounded random variables", JASA 58 (1963).
    """
    if not n_rows or n_hits <= share * n_rows:
        return 0.0
    if share == 0:
        return inf
    found = n_hits / n_rows
    per_row = found * log(found / share)
    if found < 1:
        per_row += (1 - found) * log((1 - found) / (1 - share))
    return n_rows * per_row


def sum_of_squares(hits_squared: float, hits_by_n: float, n_squared: float, share: float) -> float:
    """Return by how much groups of trials have more or fewer hits than a share of each, squared.

    The sum over groups of (hits - share · trials)², from the sums of hits², hits · trials and
    trials². Over the square of all trials it is the variance of the ratio of hits to trials.

    Cochran, Sampling Techniques (1977), 6.3.
    """
    return hits_squared - 2 * share * hits_by_n + share * share * n_squared
