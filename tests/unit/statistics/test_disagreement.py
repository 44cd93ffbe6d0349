"""When two versions disagree about a row, by the model's own threshold or stable's own interval."""

from dataclasses import replace

import numpy as np
import pytest

from serve_app.models import get_spec
from serve_app.statistics.disagreement import Comparison

NAN = float("nan")


def test_a_row_that_the_candidate_cannot_score_is_a_disagreement() -> None:
    """It would have been a fallback in a canary. What stable could not score says nothing."""
    comparison = Comparison("binary_classifier", threshold=0.5)
    stable, candidate = np.array([0.4, 0.4, NAN, NAN]), np.array([NAN, 0.45, 0.9, NAN])
    assert comparison.disagree(stable, candidate).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.3, [True, False, False, True]), (0.5, [False, False, True, False])],
)
def test_labels_are_cut_at_the_models_threshold(threshold: float, expected: list[bool]) -> None:
    """A model that cuts at 0.3 is judged at 0.3; the threshold itself has the positive label."""
    stable, candidate = np.array([0.2, 0.1, 0.4, 0.3]), np.array([0.4, 0.2, 0.6, 0.29])
    found = Comparison("binary_classifier", threshold).disagree(stable, candidate)
    assert found.tolist() == expected


def test_a_value_disagrees_when_it_leaves_stables_interval() -> None:
    """Minutes outside the half-width; without an interval only a failed row counts."""
    stable, candidate = np.array([30.0, 30.0, 30.0]), np.array([33.0, 36.0, NAN])
    delivery = get_spec("delivery_time")
    wide, boundless = Comparison.of(delivery, {"half_width": 5.0}), Comparison.of(delivery, {})
    assert wide.disagree(stable, candidate).tolist() == [False, True, True]
    assert boundless.disagree(stable, candidate).tolist() == [False, False, True]
    assert (wide.has_limit, boundless.has_limit) == (True, False)


def test_the_comparison_is_the_models() -> None:
    """Kind and threshold come from the spec, the half-width from stable's bundle."""
    spec = replace(get_spec("churn"), threshold=0.3)
    assert Comparison.of(spec, {}) == Comparison("binary_classifier", 0.3, None)
    assert Comparison.of(spec, {}).has_limit
