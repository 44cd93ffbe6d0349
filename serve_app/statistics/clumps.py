"""Shares of trials that come in clumps, as when a stop of a process makes many bad at once."""

from dataclasses import dataclass

from serve_app.statistics.intervals import sum_of_squares, wilson

# Longer than a stop that is not an outage.
BLOCK_S = 10.0
# Fewer do not show how the share varies from block to block.
LEAST_BLOCKS = 3


@dataclass
class Clumps:
    """Trials of one version and the hits among them, in blocks of ten seconds.

    Besides the sums it keeps what their variance from block to block needs: the squares of hits
    and of trials of a block, and their products. The newest block is open.
    """

    n: int = 0
    n_hits: int = 0
    _hits_squared: float = 0.0
    _hits_by_n: float = 0.0
    _n_squared: float = 0.0
    _n_blocks: int = 0
    _began_s: float = 0.0
    _n_open: int = 0
    _hits_open: int = 0

    def add(self, now_s: float, n_hits: int, n: int) -> None:
        """Take in what is told at `now_s`, seconds of a clock that never goes back."""
        if now_s >= self._began_s + BLOCK_S:
            self._close()
            self._began_s = now_s
        self.n += n
        self.n_hits += n_hits
        self._n_open += n
        self._hits_open += n_hits

    def _close(self) -> None:
        self._n_blocks += bool(self._n_open)
        self._hits_squared += self._hits_open**2
        self._hits_by_n += self._hits_open * self._n_open
        self._n_squared += self._n_open**2
        self._hits_open = 0
        self._n_open = 0

    @property
    def mean_block(self) -> float:
        """Return in how many trials' company a trial is, itself included; 1 without one."""
        if not self.n:
            return 1.0
        return (self._n_squared + self._n_open**2) / self.n

    @property
    def correlation(self) -> float:
        """Return how alike the trials of one block are: 0 by chance alone, 1 all the same.

        By the variance of a ratio over that of independent trials, and from there by the design
        effect (Kish, Survey Sampling, 1965, 5.4).
        Before three blocks are over it may be 1, as of a single stop.
        """
        if not 0 < self.n_hits < self.n or self.mean_block <= 1:
            return 0.0
        if self._n_blocks < LEAST_BLOCKS:
            return 1.0
        share = self.n_hits / self.n
        squares = self._hits_squared + self._hits_open**2
        products = self._hits_by_n + self._hits_open * self._n_open
        n_squared = self._n_squared + self._n_open**2
        between = sum_of_squares(squares, products, n_squared, share)
        by_chance = share * (1 - share) * self.n
        return min(1.0, max(0.0, between / by_chance - 1) / (self.mean_block - 1))

    def worth(self, correlation: float) -> float:
        """Return as how many independent trials one counts, where a block's are so alike."""
        return 1 / (1 + (self.mean_block - 1) * correlation)


def is_more(one: Clumps, other: Clumps, ratio: float, least_share: float) -> bool:
    """Tell whether `one` has surely more than `ratio` times the share of hits that `other` has.

    And more than `least_share` of its trials. What comes together does so in both alike, as far as
    the one says of which more comes together: none in a time is no surer for many trials in it. Of
    all hits, `one` has the share that is expected at that ratio, or more by no chance: by the bound
    of 95 % of a binomial share (Przyborowski and Wilenski, Biometrika 31, 1940).
    """
    if not one.n_hits or not other.n:
        return False
    correlation = max(one.correlation, other.correlation)
    n_one = one.worth(correlation) * one.n
    n_other = other.worth(correlation) * other.n
    hits = n_one * one.n_hits / one.n
    all_hits = hits + n_other * other.n_hits / other.n
    expected = ratio * n_one / (ratio * n_one + n_other)
    return wilson(hits, all_hits)[0] > expected and wilson(hits, n_one)[0] > least_share
