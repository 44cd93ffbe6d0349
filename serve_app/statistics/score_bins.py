"""The bins of both versions' answers, whose shares tell whether a candidate answers otherwise."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from serve_app.bundle.manifest import Manifest
from serve_app.contract.block import principal_score

N_BINS = 10


class ScoreBins:
    """Where the scores of a row belong.

    A classifier has a bin for each class, in which its label counts. Other kinds have the tenths of
    stable's golden scores, which lie at even ranks of the hold-out's; of several outputs the first
    one counts.
    """

    def __init__(self, stable: Manifest) -> None:
        self._by_class = stable.kind == "classifier"
        self.edges = [] if self._by_class else score_edges(stable)
        self.n_bins = len(stable.classes) if self._by_class else len(self.edges) + 1

    def bin_of(self, score: float | Sequence[float]) -> int:
        """The position of the bin of one row's score, or scores, none of which is NaN."""
        if self._by_class:
            assert isinstance(score, Sequence)
            return max(range(len(score)), key=score.__getitem__)
        return bisect_right(self.edges, principal_score(score))


def score_edges(stable: Manifest) -> list[float]:
    """Inner edges of the bins of both versions' scores; none where no golden row has a score."""
    scores = [principal_score(row.score) for row in stable.golden_rows if row.score is not None]
    if not scores:
        return []
    ranks = np.linspace(0, 1, N_BINS + 1)[1:-1]
    quantiles = np.quantile(scores, ranks, method="inverted_cdf")
    return [float(edge) for edge in np.unique(quantiles)]
