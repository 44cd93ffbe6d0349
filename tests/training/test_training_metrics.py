"""The measures against scikit-learn's; intervals and conformal prediction against theory."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from serve_app.statistics.disagreement import best_class
from serve_app.statistics.quality import class_ece
from training import anomaly, class_metrics, metrics, output_metrics
from training.bundling import Written
from training.conformal import half_width, share_inside
from training.errors import InvalidData

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 19)), min_size=4, max_size=60).filter(
    lambda pairs: len({target for target, _ in pairs}) == 2
)


@settings(deadline=None, max_examples=60)
@given(PAIRS)
def test_measures_of_a_classifier_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """Also where scores are equal, which a hold-out always has."""
    target = np.array([float(t) for t, _ in pairs])
    score = np.array([s / 20 for _, s in pairs])
    assert metrics.auc(target, score) == pytest.approx(reference.roc_auc_score(target, score))
    assert metrics.average_precision(target, score) == pytest.approx(
        reference.average_precision_score(target, score)
    )
    assert metrics.brier(target, score) == pytest.approx(reference.brier_score_loss(target, score))
    assert metrics.log_loss(target, score) == pytest.approx(reference.log_loss(target, score))


def test_measures_of_a_regressor_are_those_of_scikit_learn() -> None:
    """They are compared on a few hundred random numbers."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=300)
    score = rng.normal(size=300)
    assert metrics.mae(target, score) == pytest.approx(reference.mean_absolute_error(target, score))
    assert metrics.rmse(target, score) == pytest.approx(
        reference.root_mean_squared_error(target, score)
    )
    assert metrics.r2(target, score) == pytest.approx(reference.r2_score(target, score))


def test_a_calibrated_probability_has_a_small_ece_and_a_pushed_one_a_large() -> None:
    """Calibration error tells honest probabilities from boasting ones."""
    rng = np.random.default_rng(0)
    probability = rng.random(20_000)
    target = (rng.random(20_000) < probability).astype(float)
    assert metrics.ece(target, probability) < 0.02
    assert metrics.ece(target, np.where(probability > 0.5, 0.99, 0.01)) > 0.2


def test_a_bootstrap_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Over 60 samples, the 95 % interval of the error holds the true one at least 50 times."""
    rng = np.random.default_rng(1)
    truth = math.sqrt(2 / math.pi)
    n_inside = 0
    for seed in range(60):
        found = metrics.measure({"mae": metrics.mae}, rng.normal(size=200), np.zeros(200), seed)[
            "mae"
        ]
        n_inside += found.low <= truth <= found.high
    assert n_inside >= 50


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    """A score that is a little better on every row is told apart, though intervals overlap."""
    rng = np.random.default_rng(2)
    target = rng.normal(size=500)
    worse = target + rng.normal(size=500)
    better = target + 0.97 * (worse - target)
    gap = metrics.difference(metrics.mae, target, better, worse)
    alone = [
        metrics.measure({"mae": metrics.mae}, target, score)["mae"] for score in (better, worse)
    ]
    assert gap.high < 0
    assert alone[0].high > alone[1].low


def test_the_half_width_is_the_corrected_quantile_of_the_residuals() -> None:
    """With 19 residuals, 90 % coverage takes the 18th smallest: ceil(20 x 0.9)."""
    residuals = np.arange(1.0, 20.0)
    assert half_width(residuals, np.zeros(19)) == 18.0
    assert half_width(-residuals[::-1], np.zeros(19)) == 18.0


def test_too_few_rows_for_an_interval_are_refused_with_both_numbers() -> None:
    """Eight residuals cannot promise 90 %."""
    with pytest.raises(InvalidData, match="found 8 rows, expected at least 9"):
        half_width(np.arange(8.0), np.zeros(8))


def test_split_conformal_covers_new_rows_at_least_as_often_as_promised() -> None:
    """The mean coverage over many calibration sets is 90 %, even with few rows, skewed noise."""
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(400):
        width = half_width(rng.exponential(size=50), np.zeros(50))
        shares.append(share_inside(rng.exponential(size=400), np.zeros(400), width))
    assert 0.895 < np.mean(shares) < 0.925


def test_the_trained_interval_covers_the_hold_out_within_chance(delivery_bundle: Written) -> None:
    """The share of orders inside is within four standard errors of 90 %, and the width useful."""
    manifest = delivery_bundle.manifest
    assert manifest.parameters["coverage"] == 0.9
    # By the hold-out's rows and the calibration's.
    chance = math.sqrt(0.09 / 2_400 + 0.09 / 1_800)
    assert abs(manifest.metrics["coverage"].value - 0.9) < 4 * chance
    assert 3 < 2 * manifest.parameters["half_width"] < 9


N_CLASSES = 3
CLASS_ROWS = st.lists(
    st.tuples(st.integers(0, 2), *[st.integers(1, 9)] * N_CLASSES), min_size=6, max_size=60
).filter(lambda rows: len({row[0] for row in rows}) == N_CLASSES)


@settings(deadline=None, max_examples=60)
@given(CLASS_ROWS)
def test_measures_of_several_classes_are_those_of_scikit_learn(rows: list[tuple[int, ...]]) -> None:
    """Also where probabilities are equal, and a class is never the label."""
    target = np.array([float(row[0]) for row in rows])
    weights = np.array([row[1:] for row in rows], dtype=float)
    score = weights / weights.sum(axis=1, keepdims=True)
    label = best_class(score)
    classes = list(range(N_CLASSES))
    expected = {
        "accuracy": reference.accuracy_score(target, label),
        "balanced_accuracy": reference.balanced_accuracy_score(target, label),
        "macro_f1": reference.f1_score(target, label, average="macro"),
        "auc": reference.roc_auc_score(target, score, multi_class="ovr"),
        "log_loss": reference.log_loss(target, score, labels=classes),
        "brier": reference.brier_score_loss(target, score, labels=classes, scale_by_half=False),
    }
    found = {name: class_metrics.MEASURES[name](target, score) for name in expected}
    assert found == pytest.approx(expected)
    by_class = class_metrics.by_class(target, score, classes)
    parts = reference.precision_recall_fscore_support(
        target, label, labels=classes, zero_division=0
    )
    assert [one.precision.value for one in by_class] == pytest.approx(parts[0])
    assert [one.recall.value for one in by_class] == pytest.approx(parts[1])
    assert [one.n_rows for one in by_class] == list(parts[3])


def test_honest_probabilities_of_classes_have_a_small_ece_and_pushed_ones_a_large() -> None:
    """It is the calibration of the label's probability."""
    rng = np.random.default_rng(0)
    score = rng.dirichlet([1, 1, 1], size=20_000)
    target = (rng.random((20_000, 1)) > score.cumsum(axis=1)).sum(axis=1).astype(float)
    assert class_ece(target, score) < 0.02
    pushed = score**8
    assert class_ece(target, pushed / pushed.sum(axis=1, keepdims=True)) > 0.2


def test_the_pinball_loss_is_that_of_scikit_learn_and_least_at_the_true_quantiles() -> None:
    """Moving an interval away from the quantiles that it stands for costs."""
    rng = np.random.default_rng(1)
    target = rng.normal(size=4_000)
    levels = (0.05, 0.5, 0.95)
    score = np.tile(np.quantile(target, levels), (4_000, 1))
    expected = [
        reference.mean_pinball_loss(target, score[:, place], alpha=level)
        for place, level in enumerate(levels)
    ]
    least = output_metrics.pinball(target, score, levels)
    assert least == pytest.approx(np.mean(expected))
    assert output_metrics.pinball(target, score + 0.2, levels) > least
    assert output_metrics.levels_of(target, score) == pytest.approx(levels, abs=0.001)


def test_an_interval_of_quantiles_covers_what_lies_between_its_ends() -> None:
    """Ends are the outputs of that name, wherever they stand; else the first and the last."""
    target = np.array([0.0, 1.0, 2.0, 3.0])
    score = np.array([[1.0, 0.5, 2.5]] * 4)
    named = output_metrics.measures_of_quantiles(("value", "low", "high"), (0.5, 0.1, 0.9))
    assert named["coverage"](target, score) == 0.5
    assert named["interval_width"](target, score) == 2.0
    assert named["mae"](target, score) == 1.0
    assert named["crossing"](target, score) == 0.0
    placed = output_metrics.measures_of_quantiles(("p50", "p10"), (0.5, 0.1))
    assert "mae" not in placed
    assert placed["crossing"](target, score[:, :2]) == 1.0


@pytest.mark.parametrize(
    ("share", "expected", "is_fine"),
    [
        (0.05, 0.05, True),
        (0.09, 0.05, True),
        (0.2, 0.05, False),
        (0.0, 0.1, False),
        (0.3, None, True),
        (0.8, None, False),
    ],
)
def test_a_share_of_flagged_rows_that_is_far_from_the_expected_one_is_a_fault(
    share: float, expected: float | None, is_fine: bool
) -> None:
    """By more than a factor of two and chance; unknown, at most half may be unusual."""
    score = np.where(np.arange(1_000) < 1_000 * share, -1.0, 1.0 + np.arange(1_000))
    fault = anomaly.fault_of(score, expected, "what somebody said")
    assert (fault is None) == is_fine
    assert fault is None or f"{share:.1%} of the rows" in fault


@pytest.mark.parametrize(
    ("estimator", "share"),
    [
        (IsolationForest(contamination=0.1), 0.1),
        (IsolationForest(), None),
        (make_pipeline(StandardScaler(), OneClassSVM(nu=0.2)), 0.2),
    ],
)
def test_a_detector_s_own_contamination_is_found(estimator: Any, share: float | None) -> None:
    """That of a one-class SVM is called nu."""
    assert anomaly.own_contamination(estimator) == share
