"""Rows are counted by the bin of their score, for the metrics."""

from dataclasses import replace

import numpy as np
from drifting import block_of, opened, rows_of_orders
from every_kind import CLASSIFIER, VALUE, order_manifest

from serve_app.monitoring.score_histograms import ScoreHistograms
from serve_app.statistics.score_bins import ScoreBins


def test_each_row_is_in_one_bin_of_its_version_and_a_failed_one_in_none() -> None:
    """Calls add up; two versions are two."""
    block = block_of(VALUE, rows_of_orders(4, 1))
    manifest = order_manifest(VALUE, [1.0, 2.0, 3.0])
    old = opened(manifest)
    new = replace(
        opened(manifest.model_copy(update={"version": "1.1.0"})), manifest_sha256="e" * 64
    )
    histograms = ScoreHistograms()
    histograms.count(old, block, np.array([0.5, 1.5, 9.0, np.nan]))
    histograms.count(old, block, np.array([0.5, 0.5, 0.5, 0.5]))
    histograms.count(new, block[:1], np.array([9.0]))
    found = histograms.counts
    assert found["1.0.0", ScoreBins(manifest).names[0]] == 5
    assert found["1.0.0", "+Inf"] == 1
    assert sum(n for (version, _), n in found.items() if version == "1.0.0") == 7
    assert found["1.1.0", "+Inf"] == 1


def test_the_bins_of_classes_are_named_after_them() -> None:
    """A row belongs to the class that it is most likely of."""
    of_classes = order_manifest(CLASSIFIER, [[1.0, 0.0, 0.0]])
    bins = ScoreBins(of_classes)
    assert bins.names == [str(label) for label in of_classes.classes]
    scores = np.eye(bins.n_bins)[[0, 1, 1]]
    assert bins.counts(scores)[:2] == [1, 2]
    assert [bins.bin_of(row) for row in scores.tolist()] == [0, 1, 1]
