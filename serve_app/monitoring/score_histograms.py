"""Rows by version and score, for the metrics."""

from collections import Counter

from serve_app.contract.block import Block, Scores
from serve_app.serving.member import Opened
from serve_app.statistics.score_bins import ScoreBins


class ScoreHistograms:
    """Counts since the start: (version, bin) → rows.

    The bins are those of the version's own bundle, which training froze: tenths of the scores that
    it gave to the hold-out, by their upper edge, or its classes. As long as nothing has changed, a
    tenth of all rows lies in each of the tenths. A row that failed is in none.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        # By the digest of the manifest.
        self._bins: dict[str, ScoreBins] = {}

    def count(self, opened: Opened, block: Block, scores: Scores) -> None:
        """Add rows of a version."""
        bins = self._bins.get(opened.manifest_sha256)
        if bins is None:
            bins = self._bins[opened.manifest_sha256] = ScoreBins(opened.manifest)
        version = opened.manifest.version
        for name, n_rows in zip(bins.names, bins.counts(scores), strict=True):
            self.counts[version, name] += n_rows
