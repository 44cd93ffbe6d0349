"""A version proves itself on its golden rows before it scores anything else."""

from pathlib import Path

import numpy as np
import pytest
from toy_runtime import PER_DAY, toy, write_toy
from watching import manifest

from serve_app.bundle.loading import load
from serve_app.bundle.manifest import GoldenRow, Manifest
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.runtimes.registry import RUNTIMES
from serve_app.bundle.store import FolderStore
from serve_app.bundle.tolerance import differing
from serve_app.contract.block import Block, Scores
from serve_app.errors import BundleError
from serve_app.models import get_spec


class Fixed:
    """A runtime that gives every row the same score."""

    def __init__(self, score: float) -> None:
        self._score = score

    def score(self, block: Block) -> Scores:
        """(n_rows,) times the score."""
        return np.full(len(block), self._score)


def golden(score: float) -> Manifest:
    """A classifier's manifest with one golden row."""
    row = get_spec("churn").examples[0].row.model_dump()
    changes = {"golden_rows": [GoldenRow(row=row, score=score)], "tolerance": 1e-5}
    return manifest().model_copy(update=changes)


def test_a_golden_row_must_keep_its_label_at_the_models_threshold() -> None:
    """A score may move by a few millionths, but not across the threshold of the model: 0.3 here,
    not 0.5. Exactly at the threshold, float noise decides nothing.
    """
    proven = golden(0.300005)
    just_below = Fixed(0.299999)
    assert Predictor(proven, "", just_below, threshold=0.5).manifest is proven
    with pytest.raises(BundleError, match="1 of 1 golden rows scored together differ"):
        Predictor(proven, "", just_below, threshold=0.3)
    tie = golden(0.3)
    assert Predictor(tie, "", just_below, threshold=0.3).manifest is tie


@pytest.mark.parametrize(("threshold", "serves"), [(0.5, True), (0.3, False)])
def test_the_threshold_of_the_bundle_is_the_one_that_golden_rows_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: float, serves: bool
) -> None:
    """A pipeline that was tuned to cut elsewhere than the contract proves its own labels."""
    monkeypatch.setitem(RUNTIMES, "toy", toy())
    churn = get_spec("churn")
    row = churn.examples[0].row.model_dump() | {"monthly_active_days": 10}
    golden_rows = [GoldenRow(row=row, score=10 * PER_DAY - 5e-6)]
    store = FolderStore(tmp_path)
    write_toy(store, parameters={"threshold": threshold}, golden_rows=golden_rows)
    if serves:
        assert load(store, churn, "1.0.0")
    else:
        with pytest.raises(BundleError, match="golden rows scored together differ"):
            load(store, churn, "1.0.0")


def test_a_probability_that_rounding_moved_beyond_one_is_one() -> None:
    """Float32 sums give 1.0000001 now and then, which no answer may hold; 1.5 is no probability."""
    rows = Block(np.zeros((3, 7)), np.empty((3, 0), dtype=object))
    for found, right in ((1.0000001192, 1.0), (-1e-7, 0.0), (0.25, 0.25)):
        predictor = Predictor(golden(right), "", Fixed(found), threshold=0.5)
        assert predictor.score(rows).tolist() == [right] * 3
    with pytest.raises(BundleError, match="found no score"):
        Predictor(golden(1.0), "", Fixed(1.5), threshold=0.5)


def test_a_score_far_from_all_others_may_differ_by_the_rounding_of_a_sum() -> None:
    """A block of another size sums in another order: 1e12 moves by far more than a tolerance."""
    differs = differing(
        np.array([1e12 + 0.01, 10.01]), np.array([1e12, 10.0]), 1e-5, 0.5, "regressor"
    )
    assert differs.tolist() == [False, True]
