"""How sure a share is."""

from collections.abc import Callable
from math import inf, log, nan, sqrt

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


def mean_interval(n_rows: float, total: float, squares: float) -> tuple[float, float]:
    """The interval of 95 % of a mean, from the sum and the sum of squares of many rows.

    NaN for fewer than two rows.
    """
    if n_rows < 2:
        return nan, nan
    mean = total / n_rows
    variance = max(squares - n_rows * mean * mean, 0.0) / (n_rows - 1)
    half = Z * sqrt(variance / n_rows)
    return mean - half, mean + half


def auc_interval(area: float, n_positive: float, n_negative: float) -> tuple[float, float]:
    """The interval of 95 % of an area under the ROC curve, which holds near 0 and 1 too.

    Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic.
    Part 2", Statistics in Medicine 25 (2006), method 5: the areas that are not further from the
    one that was found than their own standard error, by Hanley and McNeil (1982), allows.
    """
    n_more = (n_positive + n_negative) / 2 - 1

    def is_near(other: float) -> bool:
        spread = 1 + n_more * ((1 - other) / (2 - other) + other / (1 + other))
        variance = other * (1 - other) * spread / (n_positive * n_negative)
        return (area - other) ** 2 <= Z * Z * variance

    return _edge(area, 0.0, is_near), _edge(area, 1.0, is_near)


def _edge(near: float, far: float, is_near: Callable[[float], bool]) -> float:
    """Halve the way from a value that is near to one that is not, until hardly any is left."""
    for _ in range(40):
        middle = (near + far) / 2
        if is_near(middle):
            near = middle
        else:
            far = middle
    return near
