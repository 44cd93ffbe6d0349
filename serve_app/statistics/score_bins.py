"""The bins of both versions' answers, whose shares tell whether a candidate answers otherwise."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from serve_app.bundle.manifest import Manifest
from serve_app.contract.block import Scores, has_failed, principal_score
from serve_app.statistics.disagreement import HALF_WIDTH

N_BINS = 10
# Of the spread of stable's scores, where its bundle has no interval: two versions of one model that
# are fitted again differ by less, and one that has learnt nothing by more.
WIDTH_OF_SPREAD = 0.5
# A standard deviation to either side, as a normal distribution has it.
SPREAD_RANKS = (0.16, 0.84)


class ScoreBins:
    """Where the scores of a row belong.

    A classifier has a bin for each class, in which its label counts. Other kinds have the tenths of
    stable's golden scores, which lie at even ranks of the hold-out's; of several outputs the first
    one counts.
    """

    def __init__(self, stable: Manifest) -> None:
        self._by_class = stable.kind == "classifier"
        self._classes = [str(label) for label in stable.classes]
        self.edges = [] if self._by_class else score_edges(stable)
        self.n_bins = len(stable.classes) if self._by_class else len(self.edges) + 1

    @property
    def names(self) -> list[str]:
        """The class of each bin, or its upper edge."""
        if self._by_class:
            return list(self._classes)
        return [*(f"{edge:.6g}" for edge in self.edges), "+Inf"]

    def counts(self, scores: Scores) -> list[int]:
        """(n_bins,) rows by bin, of (n_rows,) or (n_rows, n_outputs) scores.

        A row that failed is in none.
        """
        good = scores[~has_failed(scores)]
        if self._by_class:
            places = good.argmax(axis=1)
        else:
            principal = good if good.ndim == 1 else good[:, 0]
            places = np.searchsorted(self.edges, principal, side="right")
        counts: list[int] = np.bincount(places, minlength=self.n_bins).tolist()
        return counts

    @property
    def has_mean(self) -> bool:
        """Whether a mean of the scores says something: not of classes."""
        return not self._by_class

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


def with_half_widths(stable: Manifest) -> dict[str, float]:
    """The parameters of stable's bundle, with a half-width for each output that has none.

    It is a part of the spread of the golden scores, which lie at even ranks of the hold-out's.
    """
    parameters = dict(stable.parameters)
    scores = [row.score for row in stable.golden_rows if row.score is not None]
    if HALF_WIDTH in parameters or stable.kind != "regressor" or not scores:
        return parameters
    columns = np.array(scores, dtype=np.float64).reshape(len(scores), -1)
    low, high = np.quantile(columns, SPREAD_RANKS, axis=0)
    names = [f"{HALF_WIDTH}_{name}" for name in stable.outputs] or [HALF_WIDTH]
    for name, spread in zip(names, (high - low) / 2, strict=False):
        # Of a constant nothing could be told.
        if spread > 0:
            parameters.setdefault(name, WIDTH_OF_SPREAD * float(spread))
    return parameters
