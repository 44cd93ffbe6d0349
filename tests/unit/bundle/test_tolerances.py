"""How near is near enough: a part of how far the scores spread, for proofs and for golden rows."""

import numpy as np
import pytest
from watching import manifest

from serve_app.bundle.manifest import GoldenRow
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.tolerance import differing
from serve_app.contract.block import Block, Scores
from serve_app.errors import BundleError
from serve_app.models import get_spec
from training.truth import tolerance_of

N_ROWS = 3_000
# Failures a year, prices, and probabilities.
SCALES = {"rates": 7e-5, "prices": 1e6, "probabilities": 1.0}


def scores_of(scale: float) -> Scores:
    """Scores that spread over the scale."""
    return np.random.default_rng(0).uniform(0.2, 0.8, N_ROWS) * scale


def differs(found: Scores, scores: Scores, tolerance: float) -> int:
    """In how many rows."""
    return int(differing(found, scores, tolerance, 0.5, "regressor").sum())


@pytest.mark.parametrize("scale", SCALES)
def test_a_constant_fails_and_the_rounding_of_a_float32_does_not(scale: str) -> None:
    """Both whatever the unit of the target is: an absolute tolerance gets one of them wrong."""
    scores = scores_of(SCALES[scale])
    tolerance = tolerance_of(scores)
    rounded = scores.astype(np.float32).astype(np.float64)
    assert differs(rounded, scores, tolerance) == 0
    assert differs(np.full(N_ROWS, np.median(scores)), scores, tolerance) > 0.99 * N_ROWS
    moved = scores + 1e-4 * SCALES[scale]
    assert differs(moved, scores, tolerance) == N_ROWS


def test_one_score_far_out_does_not_widen_what_is_near() -> None:
    """Of thousands; nor does a refused row, and scores that are all alike have a tolerance too."""
    scores = scores_of(1.0)
    far = scores.copy()
    far[1] = 1e9
    far[2] = np.nan
    assert tolerance_of(far) == pytest.approx(tolerance_of(scores), rel=0.1)
    assert 0 < tolerance_of(np.full(10, 5e-5)) < 1e-8
    assert tolerance_of(np.full(3, np.nan)) == 0


class Constant:
    """A runtime that gives the same score for each row."""

    def __init__(self, score: float) -> None:
        self._score = score

    def score(self, block: Block) -> Scores:
        """(n_rows,) times the score."""
        return np.full(len(block), self._score)


def test_golden_rows_of_small_targets_refuse_a_constant() -> None:
    """A thousandth would have let it pass, since all answers are less than that."""
    row = get_spec("delivery_time").examples[0].row.model_dump()
    scores = scores_of(7e-5)[:20]
    changes = {
        "kind": "regressor",
        "features": list(get_spec("delivery_time").contract),
        "golden_rows": [GoldenRow(row=row, score=score) for score in scores],
        "tolerance": tolerance_of(scores),
    }
    small = manifest().model_copy(update=changes)
    with pytest.raises(BundleError, match="golden rows scored together differ"):
        Predictor(small, "", Constant(float(np.median(scores))), threshold=0.5)
