"""Mean and spread of numbers that are counted in several places, as sums that add up."""

import math
from dataclasses import dataclass

# Of the spread of stable's scores: a shift of their mean by more is for a person to look at.
MOST_SHIFT = 0.1
# With fewer numbers the mean of a skewed distribution is not normal yet.
MIN_NUMBERS = 200
# A shift by chance, in standard errors: less than one look of a million.
NOISES = 5.0


@dataclass
class Moments:
    """`n` numbers, their sum, and the sum of their squares."""

    n: int = 0
    total: float = 0.0
    squared: float = 0.0

    def add(self, number: float) -> None:
        """Take in one number."""
        self.n += 1
        self.total += number
        self.squared += number * number

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.n + other.n, self.total + other.total, self.squared + other.squared)

    @property
    def mean(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.n if self.n else 0.0

    @property
    def spread(self) -> float:
        """The standard deviation; 0 of fewer than two."""
        if self.n < 2:
            return 0.0
        # Rounding may leave a tiny negative number.
        return math.sqrt(max(0.0, self.squared / self.n - self.mean**2))


def is_mean_shifted(stable: Moments, candidate: Moments) -> bool:
    """Whether the candidate's mean lies elsewhere, beyond what matters and beyond chance.

    The standard error is that of two samples of stable's: spread · √(1/n + 1/m).
    """
    if min(stable.n, candidate.n) < MIN_NUMBERS:
        return False
    noise = stable.spread * math.sqrt(1 / stable.n + 1 / candidate.n)
    shift = abs(candidate.mean - stable.mean)
    return shift > max(MOST_SHIFT * stable.spread, NOISES * noise)
