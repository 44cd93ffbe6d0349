"""Sums say what all rows would say: realised quality, and the estimate without labels."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from labelled import (
    CHURN,
    CLASSES,
    DAY_S,
    NOW_S,
    OUTPUTS,
    QUANTILES,
    VALUE,
    Predicting,
)

from serve_app.bundle.manifest import Manifest
from serve_app.contract import ModelSpec
from serve_app.monitoring.labels.shapes import Shape, Shaper
from serve_app.monitoring.quality.measures import Measured, estimated, no_estimate, realised
from serve_app.monitoring.quality.score_counter import ScoreCounter
from serve_app.monitoring.quality.seen_labels import SeenLabels
from serve_app.monitoring.quality.sums import Sums, add_to, sums_of_label
from serve_app.statistics.intervals import auc_interval, mean_interval
from serve_app.statistics.quality import auc

RNG = np.random.default_rng(11)


def summed(spec: ModelSpec, scores: object, truths: list[object], **more: object) -> Sums:
    """The sums of labels that went all the way through ids."""
    server = Predicting(spec)
    ids = server.answer(scores, **more)  # type: ignore[arg-type]
    for one, actual in zip(ids, truths, strict=True):
        server.feedback.add(one, actual)
    total: Sums = {}
    for label in server.feedback.take():
        add_to(total, sums_of_label(Shaper(spec).shape, label))
    return total


def holds(found: Measured, truth: float, within: float = 1e-4) -> bool:
    """Whether the value is right, and lies in its interval."""
    return abs(found.value - truth) <= within and found.low <= found.value <= found.high


def test_a_binary_classifier_is_measured_as_by_all_its_rows() -> None:
    """Brier score and shares are exact but for the digits of an id; the AUC is binned."""
    p = RNG.beta(1, 3, 3_000)
    truth = (RNG.random(3_000) < p).astype(int)
    sums = summed(CHURN, p, truth.tolist(), parameters={"threshold": 0.3})
    found = realised(Shape.BINARY, sums, ("0", "1"), ())
    assert holds(found["auc"], auc(truth.astype(float), p), 0.003)
    assert holds(found["brier"], float(np.mean((p - truth) ** 2)))
    assert holds(found["accuracy"], float(np.mean((p >= 0.3) == truth)))
    assert holds(found["recall_1"], float(np.mean(p[truth == 1] >= 0.3)))
    assert holds(found["recall_0"], float(np.mean(p[truth == 0] < 0.3)))
    assert found["recall_1"].n == truth.sum()


def test_the_area_of_a_seldom_class_is_that_of_its_rows() -> None:
    """Probabilities of one in ten thousand and below are told apart."""
    p = 1 / (1 + np.exp(-RNG.normal(-9.5, 1.2, 4_000)))
    truth = (RNG.random(4_000) < p * 1_000).astype(int)
    found = realised(Shape.BINARY, summed(CHURN, p, truth.tolist()), ("0", "1"), ())
    assert found["auc"].value == pytest.approx(auc(truth.astype(float), p), abs=0.005)


def test_classes_are_measured_by_label_and_recall() -> None:
    """Three classes, of which the middle one is never found."""
    scores = [[0.7, 0.1, 0.2], [0.2, 0.2, 0.6]] * 10
    truths: list[object] = ["low", "mid"] * 10
    found = realised(Shape.CLASSES, summed(CLASSES, scores, truths), CLASSES.classes, ())  # type: ignore[arg-type]
    assert found["accuracy"].value == 0.5
    assert found["recall_low"].value == 1
    assert found["recall_mid"].value == 0
    assert "recall_high" not in found, "none came true"
    assert holds(found["label_brier"], (0.3**2 + 0.6**2) / 2)


def test_values_have_errors_bias_and_coverage_in_their_own_unit() -> None:
    """The interval is that of the bundle that answered, which the id carries."""
    values = np.linspace(10, 20, 40)
    truths: list[object] = [v + (3 if i % 4 == 0 else -1) for i, v in enumerate(values.tolist())]
    sums = summed(VALUE, values, truths, parameters={"half_width": 2.0})
    found = realised(Shape.VALUE, sums, (), ())
    assert holds(found["mae"], 1.5, 1e-3)
    assert holds(found["bias"], 0.0, 1e-3)
    assert holds(found["coverage"], 0.75)
    without = realised(Shape.VALUE, summed(VALUE, values, truths), (), ())
    assert "coverage" not in without
    quantiles = [[v - 2, v, v + 2] for v in values.tolist()]
    of_quantiles = realised(Shape.QUANTILES, summed(QUANTILES, quantiles, truths), (), ())
    assert holds(of_quantiles["coverage"], 0.75)


def test_each_output_is_measured_by_itself() -> None:
    """Under its own name and in its own unit."""
    scores = [[1_000.0, 2.0]] * 12
    truths: list[object] = [{"grams": 1_100, "metres": 2.5}] * 12
    found = realised(Shape.OUTPUTS, summed(OUTPUTS, scores, truths), (), OUTPUTS.outputs)
    assert holds(found["mae_grams"], 100, 0.1)
    assert holds(found["mae_metres"], 0.5, 1e-3)


def test_of_fewer_than_ten_labels_nothing_is_told() -> None:
    """Nine would look like a number."""
    assert realised(Shape.VALUE, summed(VALUE, [1.0] * 9, [1] * 9), (), ()) == {}
    assert estimated(Shape.BINARY, {"e_n": 9.0}) == {}


def counted(scores: np.ndarray, threshold: float) -> Sums:
    """What a server counts of answers with these scores."""
    counter = ScoreCounter(Shaper(CHURN))
    manifest = Manifest.model_construct(version="1.0.0", parameters={"threshold": threshold})
    opened: Any = SimpleNamespace(manifest=manifest)
    nothing: Any = None
    for part in np.array_split(scores, 7):
        counter.count(opened, nothing, part)
    taken = counter.take()
    assert counter.take() == {}
    return taken["1.0.0"]


def test_calibrated_scores_say_without_labels_what_labels_say_later() -> None:
    """Confidence-based performance estimation: each within three standard errors."""
    p = RNG.beta(1, 3, 20_000)
    truth = (RNG.random(20_000) < p).astype(int)
    expected = estimated(Shape.BINARY, counted(p, 0.3))
    assert expected["auc"].value == pytest.approx(auc(truth.astype(float), p), abs=0.015)
    assert expected["brier"].value == pytest.approx(np.mean((p - truth) ** 2), abs=0.006)
    assert expected["accuracy"].value == pytest.approx(np.mean((p >= 0.3) == truth), abs=0.011)


def test_an_estimate_falls_when_the_scores_say_less() -> None:
    """Which is what it is for: quality that goes before any label comes."""
    sure = estimated(Shape.BINARY, counted(RNG.choice([0.05, 0.95], 2_000), 0.5))
    unsure = estimated(Shape.BINARY, counted(RNG.choice([0.35, 0.65], 2_000), 0.5))
    for name in ("auc", "accuracy"):
        assert unsure[name].value < sure[name].value - 0.1
    assert unsure["brier"].value > sure["brier"].value


def test_there_is_no_estimate_where_scores_are_not_calibrated_or_no_probabilities() -> None:
    """And the reason is told in a sentence."""
    assert no_estimate(Shape.BINARY, {"ece": 0.01}) == ""
    assert no_estimate(Shape.CLASSES, {"ece": 0.05}) == ""
    assert "off by 0.120" in no_estimate(Shape.BINARY, {"ece": 0.12})
    assert "no calibration error" in no_estimate(Shape.BINARY, {})
    assert "labels are needed" in no_estimate(Shape.VALUE, {"mae": 1.0})


def test_the_interval_of_an_area_covers_it_as_often_as_it_says() -> None:
    """800 samples of 60 rows: the true area of two normal distributions is 0.76."""
    n_covered = 0
    for _ in range(800):
        positive, negative = RNG.normal(1, 1, 30), RNG.normal(0, 1, 30)
        truth = np.r_[np.ones(30), np.zeros(30)]
        low, high = auc_interval(auc(truth, np.r_[positive, negative]), 30, 30)
        n_covered += low <= 0.76025 <= high
    # Of 95 % so few are covered once in a million.
    assert n_covered >= 722


def test_an_interval_of_an_area_has_a_width_at_its_ends() -> None:
    """All pairs in order is no proof that all of them will be."""
    low, high = auc_interval(1.0, 10, 10)
    assert low < 0.95
    assert high == 1
    low, high = auc_interval(0.0, 10, 10)
    assert low == 0
    assert high > 0.05
    assert all(np.isnan(mean_interval(1, 2.0, 4.0)))


def test_a_label_is_new_once_and_the_oldest_days_are_forgotten_first() -> None:
    """In bounded memory; what is kept of them is the same after a restart."""
    seen = SeenLabels(most=100)
    assert all(seen.add(1, i) for i in range(60))
    assert not any(seen.add(1, i) for i in range(60))
    assert all(seen.add(2, i) for i in range(60))
    assert len(seen) == 60
    assert not seen.add(2, 5)
    assert seen.add(1, 5), "forgotten, and counted again"
    again = SeenLabels.from_json(seen.to_json())
    assert not again.add(2, 5)
    assert again.add(2, 2**64 - 1)
    again.forget_before(3)
    assert len(again) == 0
    of_one_day = SeenLabels(most=10)
    for i in range(1_000):
        of_one_day.add(1, i)
    assert len(of_one_day) == 10
    assert NOW_S % DAY_S == 3_600
