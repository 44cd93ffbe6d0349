"""Whether one histogram is another one than a second: a candidate's scores, or drift of a feature.

A candidate whose scores are distributed otherwise than stable's is held, so that a person looks,
and never aborted.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

# "A major shift" by the convention of credit scoring (Siddiqi, Credit Risk Scorecards, 2006).
HOLD_PSI = 0.25
# With few scores chance alone gives more: it must be this many times what chance gives.
NOISES = 5.0
# Below it a distribution has not drifted, however sure that is.
DRIFT_PSI = 0.2
# How seldom chance alone may look like drift in any of the distributions that are compared.
DRIFT_ALPHA = 0.001


def psi(stable: Sequence[int], candidate: Sequence[int]) -> float:
    """Population stability index of two histograms with the same bins: Σ (p - q) · ln(p / q).

    It is 0 where they agree. Half a count is added to each bin, so that empty ones are finite.
    Count a key once (its first score in the step): a heavy key's scores are no sample of the
    others'.
    """
    p = _shares(stable)
    q = _shares(candidate)
    return math.fsum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))


def psi_noise(n_bins: int, n_stable: int, n_candidate: int) -> float:
    """The PSI to expect when nothing differs: (bins - 1) · (1/n + 1/m).

    It is infinite with an empty side. Yurdakul and Naranjo, "Statistical properties of the
    population stability index", J. Risk Model Validation (2020).
    """
    if not (n_stable and n_candidate):
        return math.inf
    return (n_bins - 1) * (1 / n_stable + 1 / n_candidate)


def drift_limit(n_bins: int, n_training: int, n_live: int, n_compared: int = 1) -> float:
    """The PSI above which rows have drifted from training: the larger one of 0.2 and noise.

    Noise is what chance exceeds in one of 1,000 / `n_compared` cases: with equal distributions, PSI
    / (1/n + 1/m) has a chi-square distribution with bins - 1 degrees of freedom (Yurdakul and
    Naranjo, as above). So of all `n_compared` distributions of a model together, chance takes one
    of 1,000 windows at most (Bonferroni). Infinite with an empty side.
    """
    if not (n_training and n_live):
        return math.inf
    sure = 1 - DRIFT_ALPHA / max(1, n_compared)
    noise = chi_square_quantile(sure, n_bins - 1) * (1 / n_training + 1 / n_live)
    return max(DRIFT_PSI, noise)


def chi_square_quantile(p: float, n_degrees: int) -> float:
    """The quantile of a chi-square distribution, by Wilson and Hilferty (1931).

    At 0.999 it is within 4 %, further out within 15 %, and never too small. 0 without a degree of
    freedom.
    """
    if n_degrees < 1:
        return 0.0
    variance = 2 / (9 * n_degrees)
    return float(n_degrees * (1 - variance + NormalDist().inv_cdf(p) * math.sqrt(variance)) ** 3)


def is_shifted(stable: Sequence[int], candidate: Sequence[int]) -> bool:
    """Whether the PSI is above HOLD_PSI, and beyond chance: above NOISES times its noise."""
    noise = psi_noise(len(stable), sum(stable), sum(candidate))
    return psi(stable, candidate) > max(HOLD_PSI, NOISES * noise)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + 0.5 * len(counts)
    return [(count + 0.5) / total for count in counts]
