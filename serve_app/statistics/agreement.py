"""How two versions' scores of the same rows go together: shift, spread and order."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from serve_app.contract.block import Scores
from serve_app.statistics.moments import Moments


@dataclass
class Agreement:
    """Sums over `n_rows` rows that both versions scored; a score is one number for each row.

    `table[i][j]` counts rows whose score lies in bin i by stable and in bin j by the candidate.
    """

    n_rows: int = 0
    difference: float = 0.0
    difference_squared: float = 0.0
    stable: float = 0.0
    stable_squared: float = 0.0
    largest: float = 0.0
    table: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, other: "Agreement") -> None:
        """Take in what was counted elsewhere, or later."""
        self.n_rows += other.n_rows
        self.difference += other.difference
        self.difference_squared += other.difference_squared
        self.stable += other.stable
        self.stable_squared += other.stable_squared
        self.largest = max(self.largest, other.largest)
        for cell, count in other.table.items():
            self.table[cell] = self.table.get(cell, 0) + count

    def count(self, stable: Scores, candidate: Scores, edges: Sequence[float]) -> None:
        """Count rows, (n_rows,) scores of each; `edges` are the inner edges of the bins."""
        gap = candidate - stable
        self.n_rows += len(gap)
        self.difference += float(gap.sum())
        self.difference_squared += float((gap**2).sum())
        self.stable += float(stable.sum())
        self.stable_squared += float((stable**2).sum())
        for one, other in zip(stable.tolist(), candidate.tolist(), strict=True):
            cell = (bisect_right(edges, one), bisect_right(edges, other))
            self.table[cell] = self.table.get(cell, 0) + 1

    @property
    def mean_difference(self) -> float:
        """Candidate minus stable; 0 without rows."""
        return self.difference / self.n_rows if self.n_rows else 0.0

    @property
    def noise(self) -> float:
        """The standard error of the mean difference, as if rows were independent."""
        if self.n_rows < 2:
            return math.inf
        found = Moments(self.n_rows, self.difference, self.difference_squared)
        return found.spread / math.sqrt(self.n_rows)

    @property
    def spread(self) -> float:
        """The standard deviation of stable's scores."""
        return Moments(self.n_rows, self.stable, self.stable_squared).spread

    def rank_correlation(self) -> float | None:
        """Spearman's correlation of the bins, -1 to 1; 0 where the candidate's are all the same.

        Rows of one bin are ties and have their middle rank. None where stable's are all the same:
        there is no order then.
        """
        if not self.table:
            return None
        n_bins = 1 + max(max(cell) for cell in self.table)
        counts = np.zeros((n_bins, n_bins))
        for cell, count in self.table.items():
            counts[cell] = count
        ranks = [_middle_ranks(counts.sum(axis=axis)) for axis in (1, 0)]
        stable, candidate = (rank - self.n_rows / 2 for rank in ranks)
        var_stable = float((counts.sum(axis=1) * stable**2).sum())
        var_candidate = float((counts.sum(axis=0) * candidate**2).sum())
        if not var_stable:
            return None
        if not var_candidate:
            return 0.0
        together = float(stable @ counts @ candidate)
        return together / math.sqrt(var_stable * var_candidate)


def _middle_ranks(counts: np.ndarray) -> np.ndarray:
    """The middle rank of each bin, of rows in the order of the bins."""
    ends = np.cumsum(counts)
    return np.asarray(ends - counts / 2)
