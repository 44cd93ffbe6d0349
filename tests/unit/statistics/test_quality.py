"""Metrics of labelled rows: the same numbers as scikit-learn's, and intervals that are paired."""

import numpy as np
import pytest
from every_kind import ANOMALY, CLASSIFIER, KINDS, OUTPUTS, QUANTILES, VALUE, YES_NO
from sklearn import metrics as reference

from serve_app.statistics.paired import measure_both
from serve_app.statistics.quality import loss_of, measures_of

RNG = np.random.default_rng(7)
N_ROWS = 400
# A coarse grid, so that there are ties.
SCORE = np.round(RNG.random(N_ROWS), 2)
TRUTH = (RNG.random(N_ROWS) < SCORE).astype(float)
CLASS_SCORES = RNG.dirichlet([1, 2, 0.7], N_ROWS)
CLASS_TRUTH = np.array([RNG.choice(3, p=row) for row in CLASS_SCORES], dtype=float)
VALUES = RNG.normal(10, 3, N_ROWS)


def test_binary_metrics_are_those_of_scikit_learn() -> None:
    """Ties count half in the AUC, and labels are cut at the bundle's own threshold."""
    found = {
        name: measure(TRUTH, SCORE)
        for name, measure in measures_of(YES_NO, {"threshold": 0.3}).items()
    }
    assert found.pop("ece") == pytest.approx(0, abs=0.15)
    assert found == pytest.approx(
        {
            "auc": reference.roc_auc_score(TRUTH, SCORE),
            "average_precision": reference.average_precision_score(TRUTH, SCORE),
            "brier": reference.brier_score_loss(TRUTH, SCORE),
            "log_loss": reference.log_loss(TRUTH, SCORE),
            "accuracy": reference.accuracy_score(TRUTH, SCORE >= 0.3),
        }
    )


def test_metrics_of_several_classes_are_those_of_scikit_learn() -> None:
    """The Brier score is summed over the classes."""
    found = {
        name: measure(CLASS_TRUTH, CLASS_SCORES)
        for name, measure in measures_of(CLASSIFIER, {}).items()
    }
    labels = CLASS_SCORES.argmax(axis=1)
    assert 0 < found.pop("ece") < 0.2
    assert found.pop("brier") == pytest.approx(
        ((CLASS_SCORES - np.eye(3)[CLASS_TRUTH.astype(int)]) ** 2).sum(axis=1).mean()
    )
    assert found == pytest.approx(
        {
            "accuracy": reference.accuracy_score(CLASS_TRUTH, labels),
            "balanced_accuracy": reference.balanced_accuracy_score(CLASS_TRUTH, labels),
            "macro_f1": reference.f1_score(CLASS_TRUTH, labels, average="macro"),
            "auc": reference.roc_auc_score(CLASS_TRUTH, CLASS_SCORES, multi_class="ovr"),
            "log_loss": reference.log_loss(CLASS_TRUTH, CLASS_SCORES),
        }
    )


def test_metrics_of_values_are_those_of_scikit_learn() -> None:
    """The interval is that of the bundle, where it has one."""
    score = VALUES + np.where(np.arange(N_ROWS) % 4 == 0, 2.0, -0.5)
    found = {
        name: measure(VALUES, score)
        for name, measure in measures_of(VALUE, {"half_width": 1.0}).items()
    }
    assert found == pytest.approx(
        {
            "mae": reference.mean_absolute_error(VALUES, score),
            "rmse": reference.root_mean_squared_error(VALUES, score),
            "r2": reference.r2_score(VALUES, score),
            "coverage": 0.75,
            "interval_width": 2.0,
        }
    )
    assert "coverage" not in measures_of(VALUE, {})


def test_each_output_is_measured_against_its_own_column() -> None:
    """Days and dollars have errors of their own."""
    truth = np.column_stack([VALUES, 10 * VALUES])
    scores = truth + np.array([1.0, -20.0])
    measures = measures_of(OUTPUTS, {})
    assert measures["mae_days"](truth, scores) == pytest.approx(1)
    assert measures["rmse_cost_usd"](truth, scores) == pytest.approx(20)
    assert measures["relative_mae"](truth, scores) == pytest.approx(1.5 / VALUES.std())
    found = loss_of(OUTPUTS)
    assert found is not None
    errors = found[1](truth, scores)
    assert errors.shape == (N_ROWS,)
    assert errors[0] == pytest.approx((1 / VALUES.std() + 2 / VALUES.std()) / 2)


def test_a_quantile_model_is_measured_by_how_often_it_holds() -> None:
    """The share of truths at or below each output, and inside of all of them."""
    truth = np.arange(100.0)
    scores = np.tile([9.0, 50.0, 89.0], (100, 1))
    found = {name: measure(truth, scores) for name, measure in measures_of(QUANTILES, {}).items()}
    assert found == pytest.approx(
        {
            "mae": 25.0,
            "rmse": np.sqrt(833.5),
            "r2": 1 - 833.5 / truth.var(),
            "below_low": 0.10,
            "below_middle": 0.51,
            "below_high": 0.90,
            "coverage": 0.81,
            "interval_width": 80.0,
        }
    )


def test_an_anomaly_score_has_no_truth() -> None:
    """There is nothing to measure it by."""
    assert measures_of(ANOMALY, {}) == {}
    assert loss_of(ANOMALY) is None


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    """A candidate that is a little worse on every row is found, though the intervals overlap."""
    parameters: tuple[dict[str, float], dict[str, float]] = ({}, {})
    worse = VALUES + RNG.normal(0, 2, N_ROWS)
    pairs = {
        pair.name: pair
        for pair in measure_both(VALUE, VALUES, worse, VALUES + 1.1 * (worse - VALUES), parameters)
    }
    mae = pairs["mae"]
    assert mae.stable.high > mae.candidate.low
    assert mae.difference.value == pytest.approx(0.1 * mae.stable.value)
    assert mae.verdict == pairs["r2"].verdict == "worse"
    same = measure_both(VALUE, VALUES, worse, worse, parameters)
    assert {pair.verdict for pair in same} == {"alike"}


def test_each_version_is_measured_by_its_own_bundle() -> None:
    """Its threshold decides its labels; a wider interval is neither better nor worse by itself."""
    found = measure_both(YES_NO, TRUTH, SCORE, SCORE, ({"threshold": 0.5}, {"threshold": 0.99}))
    pairs = {pair.name: pair for pair in found}
    assert pairs["auc"].verdict == "alike"
    assert pairs["accuracy"].verdict == "worse"
    wider = measure_both(VALUE, VALUES, VALUES, VALUES, ({"half_width": 1.0}, {"half_width": 2.0}))
    assert {pair.name: pair.verdict for pair in wider}["interval_width"] == "changed"


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_a_kind_with_a_truth_has_an_error_for_slices(spec: object) -> None:
    """Whatever is measured as a whole is compared by slice too."""
    assert isinstance(spec, type(VALUE))
    assert bool(measures_of(spec, {})) == (loss_of(spec) is not None)
