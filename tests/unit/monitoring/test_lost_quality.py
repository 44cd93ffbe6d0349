"""Worse than on the hold-out: beyond chance, by enough to matter, and by labels enough."""

import numpy as np
import pytest
from monitored import BASELINE, measure, quality

from serve_app.bundle.manifest import Metric
from serve_app.monitoring.labels.shapes import Shape
from serve_app.monitoring.lost_quality import (
    labelled_window,
    lost_by_estimate,
    lost_by_labels,
    unjudged_labels,
)
from serve_app.monitoring.quality.measures import realised
from serve_app.monitoring.quality.sums import Sums, add_to, bin_of
from serve_app.monitoring.quality.view import MeasureView, WindowView
from serve_app.monitoring.retraining_limits import RetrainingLimits

LIMITS = RetrainingLimits()


def test_an_error_that_rises_is_worse_and_one_that_falls_is_better() -> None:
    """Of a score more is better, of an error less."""
    metrics = {"mae": Metric(value=5.0, low=4.9, high=5.1)}
    assert lost_by_labels(metrics, quality({"mae": measure(6.0, 0.1)}), LIMITS)
    assert not lost_by_labels(metrics, quality({"mae": measure(4.0, 0.1)}), LIMITS)
    assert not lost_by_labels(BASELINE, quality({"auc": measure(0.95, 0.01)}), LIMITS)
    of_output = {"mae_grams": Metric(value=5.0, low=4.9, high=5.1)}
    assert lost_by_labels(of_output, quality({"mae_grams": measure(6.0, 0.1)}), LIMITS)


def test_what_is_sure_and_does_not_matter_is_no_loss() -> None:
    """Of a million labels everything is sure; nobody trains again for a thousandth."""
    metrics = {"auc": Metric(value=0.85, low=0.8499, high=0.8501)}
    assert not lost_by_labels(metrics, quality({"auc": measure(0.846, 0.0001)}), LIMITS)
    assert lost_by_labels(metrics, quality({"auc": measure(0.84, 0.0001)}), LIMITS)


def test_what_chance_explains_is_no_loss() -> None:
    """Both sides have chance of their own: few labels, and a small hold-out."""
    worse = quality({"auc": measure(0.80, 0.05)})
    assert not lost_by_labels(BASELINE, worse, LIMITS)
    sure = quality({"auc": measure(0.80, 0.005)})
    assert lost_by_labels(BASELINE, sure, LIMITS)
    small_holdout = {"auc": Metric(value=0.85, low=0.80, high=0.90)}
    assert not lost_by_labels(small_holdout, sure, LIMITS)


def test_the_shortest_window_of_a_week_or_more_with_labels_enough_is_judged() -> None:
    """A day is a Saturday; a month hides last week."""
    worse = {"auc": measure(0.6, 0.01)}
    found = quality(worse, days=30)
    few = WindowView(days=7, n_predictions=0, n_labels=199, realised=worse, estimated={})
    day = few.model_copy(update={"days": 1, "n_labels": 5_000})
    with_few = found.model_copy(update={"judged": [few, *found.judged], "windows": [day]})
    [sentence] = lost_by_labels(BASELINE, with_few, LIMITS)
    assert "of the last 30 days" in sentence
    only_a_day = found.model_copy(update={"judged": [], "windows": [day]})
    assert lost_by_labels(BASELINE, only_a_day, LIMITS) == []


def test_a_window_that_is_not_judged_is_passed_over_and_told() -> None:
    """Its early labels make 0.62 of an accuracy of 0.84; the next longer one has enough others."""
    early = quality({"accuracy": measure(0.62, 0.01)}, n_labels=300).judged[0]
    early = early.model_copy(update={"unjudged": "the newest ones are early"})
    found = quality().model_copy(update={"judged": [early]})
    said = "labels of the last 7 days ask for nothing: the newest ones are early"
    assert labelled_window(found, LIMITS) is None
    assert lost_by_labels(BASELINE, found, LIMITS) == []
    assert unjudged_labels(found, LIMITS) == said
    month = quality({"accuracy": measure(0.84, 0.01)}, days=30).judged[0]
    found = found.model_copy(update={"judged": [early, month]})
    assert labelled_window(found, LIMITS) == month
    assert lost_by_labels(BASELINE, found, LIMITS) == []
    assert unjudged_labels(found, LIMITS) == said


def test_an_estimate_has_to_be_worse_by_the_calibration_error_too() -> None:
    """Where probabilities are off by 0.02, so may be what they let expect."""
    off = quality(estimated={"accuracy": measure(0.80, 0.001)})
    assert lost_by_estimate(BASELINE, off, LIMITS) == []
    far = quality(estimated={"accuracy": measure(0.78, 0.001)})
    assert len(lost_by_estimate(BASELINE, far, LIMITS)) == 1


@pytest.mark.parametrize(
    "found",
    [
        {"recall_1": measure(0.1, 0.01)},
        {"bias": measure(9.0, 0.01)},
        {"auc": MeasureView(value=0.1, n=500)},
        {"label_brier": measure(0.9, 0.01)},
    ],
)
def test_what_has_no_interval_or_is_no_quality_is_not_judged(found: dict[str, MeasureView]) -> None:
    """Recall goes with the share of positives that were followed up, a bias has no direction."""
    assert lost_by_labels(BASELINE | {"recall_1": BASELINE["auc"]}, quality(found), LIMITS) == []


def sums_of(rng: np.random.Generator, n: int, noise: float) -> Sums:
    """Labels of scores with log odds of spread 1.5, each truth of a score with so much noise."""
    sums: Sums = {}
    odds = rng.normal(-1, 1.5, n)
    scores = 1 / (1 + np.exp(-odds))
    truth = rng.random(n) < 1 / (1 + np.exp(-(odds + rng.normal(0, noise, n))))
    for score, is_true in zip(scores.tolist(), truth.tolist(), strict=True):
        squared = (score - is_true) ** 2
        add_to(
            sums,
            {
                "n": 1.0,
                "brier": squared,
                "brier2": squared**2,
                "right": float((score >= 0.5) == is_true),
                f"{'pos' if is_true else 'neg'}.{bin_of(score)}": 1.0,
            },
        )
    return sums


def measured(rng: np.random.Generator, n: int, noise: float = 0.0) -> dict[str, MeasureView]:
    """What is realised of so many labels."""
    found = realised(Shape.BINARY, sums_of(rng, n, noise), ("0", "1"), ())
    return {
        name: MeasureView(value=m.value, low=m.low, high=m.high, n=m.n) for name, m in found.items()
    }


def test_a_model_that_is_as_it_was_is_left_alone_and_one_that_lost_is_found() -> None:
    """Simulated: 200 weeks of 500 labels like the hold-out, and 20 in which half is noise."""
    rng = np.random.default_rng(20_261_129)
    holdout = measured(rng, 4_000)
    metrics = {
        name: Metric(value=one.value, low=one.low or 0.0, high=one.high or 1.0)
        for name, one in holdout.items()
    }
    alarms = [
        bool(lost_by_labels(metrics, quality(measured(rng, 500)), LIMITS)) for _ in range(200)
    ]
    assert sum(alarms) <= 4
    found = [
        bool(lost_by_labels(metrics, quality(measured(rng, 500, 4.0)), LIMITS)) for _ in range(20)
    ]
    assert sum(found) >= 18
