"""When two versions disagree about a row, by the model's own threshold or stable's own interval."""

from dataclasses import replace

import numpy as np
import pytest
from every_kind import ANOMALY, CLASSIFIER, OUTPUTS, QUANTILES

from serve_app.models import get_spec
from serve_app.statistics.disagreement import Comparison, largest_shift

NAN = float("nan")


def test_a_row_that_the_candidate_cannot_score_is_a_disagreement() -> None:
    """It would have been a fallback in a canary. What stable could not score says nothing."""
    comparison = Comparison("label", 0.5, 0.5)
    stable, candidate = np.array([0.4, 0.4, NAN, NAN]), np.array([NAN, 0.45, 0.9, NAN])
    assert comparison.disagree(stable, candidate).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.3, [True, False, False, True]), (0.5, [False, False, True, False])],
)
def test_labels_are_cut_at_the_models_threshold(threshold: float, expected: list[bool]) -> None:
    """A model that cuts at 0.3 is judged at 0.3; the threshold itself has the positive label."""
    stable, candidate = np.array([0.2, 0.1, 0.4, 0.3]), np.array([0.4, 0.2, 0.6, 0.29])
    found = Comparison("label", threshold, threshold).disagree(stable, candidate)
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
    """Without a threshold in the bundles the contract's counts, for both versions."""
    spec = replace(get_spec("churn"), threshold=0.3)
    assert Comparison.of(spec, {}) == Comparison("label", 0.3, 0.3)
    assert Comparison.of(spec, {}).has_limit


def test_each_version_cuts_at_the_threshold_of_its_own_bundle() -> None:
    """Labels are compared as clients get them; an unknown candidate is taken to cut like stable."""
    spec = get_spec("churn")
    stable, candidate = np.array([0.35, 0.35, 0.15]), np.array([0.35, 0.65, 0.35])
    tuned = Comparison.of(spec, {"threshold": 0.2}, {"threshold": 0.6})
    assert tuned.disagree(stable, candidate).tolist() == [True, False, False]
    unknown = Comparison.of(spec, {"threshold": 0.2})
    assert unknown.disagree(stable, candidate).tolist() == [False, False, True]


def test_a_class_disagrees_when_another_one_is_the_most_probable() -> None:
    """Of equal probabilities the first class wins, as in the answer; one NaN is no answer."""
    comparison = Comparison.of(CLASSIFIER, {})
    stable = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8], [0.6, NAN, 0.4]])
    candidate = np.array([[0.4, 0.35, 0.25], [0.3, 0.4, 0.3], [0.1, NAN, 0.8], [0.1, 0.1, 0.8]])
    assert comparison.disagree(stable, candidate).tolist() == [False, True, True, False]
    assert comparison.has_limit
    assert largest_shift(stable, candidate) == pytest.approx(0.5)
    gap = comparison.difference(stable[:2], candidate[:2])
    assert gap.tolist() == pytest.approx([-0.1, -0.1]), "of the class that stable answers"


def test_several_values_disagree_when_one_of_them_leaves_its_interval() -> None:
    """Each output has an interval of its own, or the common one; without any, none is outside."""
    wide = Comparison.of(OUTPUTS, {"half_width_days": 1.0, "half_width": 10.0})
    stable = np.array([[3.0, 50.0], [3.0, 50.0], [3.0, 50.0]])
    candidate = np.array([[3.9, 59.0], [4.1, 50.0], [3.0, 39.0]])
    assert wide.disagree(stable, candidate).tolist() == [False, True, True]
    assert wide.outside(stable, candidate).tolist() == [[0, 0], [1, 0], [0, 1]]
    assert wide.difference(stable, candidate).tolist() == pytest.approx([0.9, 1.1, 0.0])
    boundless = Comparison.of(OUTPUTS, {})
    assert not boundless.has_limit
    assert boundless.disagree(stable, candidate).tolist() == [False, False, False]


def test_quantiles_disagree_when_the_median_leaves_stables_own_interval() -> None:
    """A model of quantiles has an interval for each row, so it needs no parameter."""
    comparison = Comparison.of(QUANTILES, {})
    stable = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, NAN]])
    candidate = np.array([[0.0, 2.9, 9.0], [2.0, 3.1, 3.2], [9.0, 9.0, 9.0]])
    assert comparison.disagree(stable, candidate).tolist() == [False, True, False]
    assert comparison.difference(stable[:2], candidate[:2]).tolist() == pytest.approx([0.9, 1.1])
    assert comparison.has_limit


def test_an_anomaly_score_disagrees_when_it_changes_sides_of_zero() -> None:
    """`is_anomaly` is what a client acts on; how unusual a row is may move freely."""
    stable, candidate = np.array([-0.1, -0.1, 0.0, 0.2]), np.array([-0.3, 0.0, -0.01, 0.1])
    comparison = Comparison.of(ANOMALY, {})
    assert comparison.disagree(stable, candidate).tolist() == [False, True, True, False]
    assert comparison.has_limit


def test_no_shift_is_the_largest_of_no_rows() -> None:
    """Rows that only one version scored have no difference."""
    assert largest_shift(np.array([NAN, 0.5]), np.array([0.5, NAN])) == 0
    assert largest_shift(np.array([0.5, 0.1, 0.2]), np.array([0.1, NAN, 0.3])) == pytest.approx(0.4)
