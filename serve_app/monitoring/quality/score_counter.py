"""Counts the scores of all answers, for the estimate of quality before any label is there."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from serve_app.contract.block import Block, Scores
from serve_app.monitoring.labels.shapes import Shape, Shaper
from serve_app.monitoring.quality.sums import EDGES, N_BINS, Sums, add_to
from serve_app.serving.member import Opened


class ScoreCounter:
    """By version, how many rows it answered, and what their scores say of its own quality.

    If probabilities are calibrated, a row with probability p is positive with that probability: so
    right labels, the Brier score and both histograms of the ROC curve can be expected. That is
    confidence-based performance estimation, as NannyML describes it. For values there is none.
    """

    def __init__(self, shaper: Shaper) -> None:
        self._shape = shaper.shape
        self._threshold_of = shaper.threshold_of
        self._sums: dict[str, Sums] = defaultdict(dict)

    def count(self, opened: Opened, block: Block, scores: Scores) -> None:
        """Add rows of a version."""
        manifest = opened.manifest
        add_to(self._sums[manifest.version], {"answered": float(len(scores))})
        if self._shape is Shape.BINARY:
            threshold = self._threshold_of(manifest.parameters)
            add_to(self._sums[manifest.version], expected_of_binary(scores, threshold))
        elif self._shape is Shape.CLASSES:
            add_to(self._sums[manifest.version], expected_of_classes(scores))

    def take(self) -> dict[str, Sums]:
        """By version, the sums since the last time."""
        taken = dict(self._sums)
        self._sums = defaultdict(dict)
        return taken


def expected_of_binary(scores: Scores, threshold: float) -> Sums:
    """The sums that are expected of these probabilities (n_rows,), by names of their own."""
    p = scores[~np.isnan(scores)]
    right = np.where(p >= threshold, p, 1 - p)
    places = np.searchsorted(EDGES, p, side="right")
    sums: Sums = {"e_n": float(len(p)), "e_right": float(right.sum()), "e_spread": _spread(p)}
    for name, weights in (("e_pos", p), ("e_neg", 1 - p)):
        by_bin = np.bincount(places, weights=weights, minlength=N_BINS)
        for place in np.flatnonzero(by_bin):
            sums[f"{name}.{place}"] = float(by_bin[place])
    return sums


def expected_of_classes(scores: Scores) -> Sums:
    """The sums that are expected of the labels' own probabilities, of (n_rows, n_classes)."""
    confidence = scores.max(axis=1)
    confidence = confidence[~np.isnan(confidence)]
    right = float(confidence.sum())
    return {"e_n": float(len(confidence)), "e_right": right, "e_spread": _spread(confidence)}


def _spread(p: NDArray[np.float64]) -> float:
    """The sum of p(1 - p): the expected squared errors, and the variance of right labels."""
    return float((p * (1 - p)).sum())
