"""Whether a candidate's scores are distributed otherwise than stable's.

That is a reason to hold, so that a person looks, and never one to abort.
"""

import math
from collections.abc import Sequence

# "A major shift" by the convention of credit scoring (Siddiqi, Credit Risk Scorecards, 2006).
HOLD_PSI = 0.25
# With few scores chance alone gives more: it must be this many times what chance gives.
NOISES = 5.0


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


def is_shifted(stable: Sequence[int], candidate: Sequence[int]) -> bool:
    """Whether the PSI is above HOLD_PSI, and beyond chance: above NOISES times its noise."""
    noise = psi_noise(len(stable), sum(stable), sum(candidate))
    return psi(stable, candidate) > max(HOLD_PSI, NOISES * noise)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + 0.5 * len(counts)
    return [(count + 0.5) / total for count in counts]
