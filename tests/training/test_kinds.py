"""Every kind of model, from a contract and rows to a bundle that has proven itself."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import kinds
import numpy as np
import pandas as pd
import pytest
from kinds import Kind
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import IsolationForest

from serve_app.bundle.loading import load
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Layout
from serve_app.statistics.disagreement import Comparison
from training.bundling import Written
from training.errors import QualityTooLow, TrainingError
from training.reading import check
from training.recipe import Training
from training.run import bundle, train
from training.table import AS_READ

BINARY: dict[str, tuple[Any, Any, Any]] = {
    "yes and no": ("no", "yes", "yes"),
    "no is asked for": ("no", "yes", "no"),
    "one and two": (1, 2, 2),
    "truth values": (False, True, True),
    "signs": (-1, 1, -1),
}
KINDS: dict[str, Callable[[], Kind]] = {
    "texts": lambda: kinds.classes("mid", "_high", "low $"),
    "ints": lambda: kinds.classes(3, 1, 2, 7),
    "value": kinds.value,
    "outputs": kinds.outputs,
    "quantiles": kinds.quantiles,
    "anomaly": kinds.anomaly,
    "one_class": kinds.one_class,
    "every_field": kinds.every_field,
}


def written_of(kind: Kind, folder: Path) -> Written:
    """The kind's version 1.0.0."""
    return train(kind.training, kind.spec, "1.0.0", FolderStore(folder))


def report_of(written: Written) -> str:
    """The page of a version."""
    return (Path(written.where) / "report.html").read_text()


def answers_of(kind: Kind, folder: Path, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What a replica answers for rows as a client writes them."""
    predictor = load(FolderStore(folder), kind.spec, "1.0.0")
    plain = [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in rows.to_dict("records")
    ]
    scores = predictor.score(Layout(kind.spec.contract).block(plain))
    parameters = predictor.manifest.parameters
    return [kind.spec.answer(score, parameters).model_dump() for score in scores.tolist()]


def fresh(kind: Kind) -> pd.DataFrame:
    """Rows that no version was fitted on."""
    return kind.make_rows(400, 99)


@pytest.mark.parametrize("labels", BINARY)
def test_a_binary_classifier_answers_with_its_own_labels(labels: str, tmp_path: Path) -> None:
    """The label is the author's, and the probability that of the positive class."""
    first, second, positive = BINARY[labels]
    kind = kinds.binary(first, second, positive)
    written = written_of(kind, tmp_path)
    rows = fresh(kind)
    answers = answers_of(kind, tmp_path, rows)
    right = [answer["label"] == truth for answer, truth in zip(answers, rows["truth"], strict=True)]
    assert np.mean(right) > 0.7
    assert {type(answer["label"]) for answer in answers} == {type(first)}
    assert all((a["probability"] > 0.5) == (a["label"] == positive) for a in answers)
    assert written.manifest.metrics["auc"].value > 0.8
    assert f"probability of {positive}" in _pictures(report_of(written))


def _pictures(page: str) -> str:
    return "".join(
        base64.b64decode(data).decode() for data in re.findall(r"svg\+xml;base64,([^\"]+)", page)
    )


@pytest.mark.parametrize("name", ["texts", "ints"])
def test_a_classifier_of_several_classes_answers_and_is_measured(name: str, tmp_path: Path) -> None:
    """The most probable class is the label, and every class is found better than by chance."""
    kind = KINDS[name]()
    written = written_of(kind, tmp_path)
    rows = fresh(kind)
    answers = answers_of(kind, tmp_path, rows)
    classes = kind.spec.classes
    right = [answer["label"] == truth for answer, truth in zip(answers, rows["truth"], strict=True)]
    assert np.mean(right) > 1.5 / len(classes)
    for answer in answers:
        assert list(answer["probabilities"]) == [str(label) for label in classes]
        assert answer["probabilities"][str(answer["label"])] == answer["probability"]
        assert answer["probability"] == max(answer["probabilities"].values())
    metrics = written.manifest.metrics
    for metric in ("accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss", "brier", "ece"):
        assert np.isfinite([metrics[metric].low, metrics[metric].high]).all()
    assert metrics["auc"].low > 0.7
    page = report_of(written)
    for label in classes:
        assert metrics[f"recall_{label}"].value > 1 / len(classes)
        assert f"<td>{label}</td>" in page
    for words in ("Class by class", 'alt="Confusion matrix"', 'alt="Calibration by class"'):
        assert words in page


def test_several_outputs_are_measured_each_in_its_own_unit(tmp_path: Path) -> None:
    """Grams in ten thousands and metres in thousandths count the same in the one number of all."""
    kind = kinds.outputs()
    metrics = written_of(kind, tmp_path).manifest.metrics
    rows = fresh(kind)
    answers = answers_of(kind, tmp_path, rows)
    for output in ("grams", "metres"):
        found = np.array([answer[output] for answer in answers])
        assert np.corrcoef(found, rows[output])[0, 1] > 0.8
        assert metrics[f"r2_{output}"].value > 0.6
        assert metrics[f"mae_{output}"].value < rows[output].std() / 2
    assert metrics["relative_mae"].value < 0.5


def test_each_of_several_outputs_has_an_interval_that_a_rollout_judges_by(tmp_path: Path) -> None:
    """Without it no row of a candidate could disagree in shadow, however wrong the candidate is."""
    kind = kinds.outputs()
    parameters = written_of(kind, tmp_path).manifest.parameters
    comparison = Comparison.of(kind.spec, parameters)
    rows = fresh(kind)
    answers = answers_of(kind, tmp_path, rows)
    scores = np.array([[answer["grams"], answer["metres"]] for answer in answers])
    assert comparison.has_limit
    outside = comparison.outside(scores, rows[["grams", "metres"]].to_numpy())
    assert ((outside.mean(axis=0) > 0.03) & (outside.mean(axis=0) < 0.2)).all()
    far = scores.copy()
    far[:, 1] += 2 * parameters["half_width_metres"]
    assert comparison.disagree(scores, far).all()
    assert not comparison.disagree(scores, scores).any()


def test_quantiles_answer_with_an_interval_of_their_own(tmp_path: Path) -> None:
    """Low and high come from the model, and hold the truth about as often as they promise."""
    kind = kinds.quantiles()
    manifest = written_of(kind, tmp_path).manifest
    rows = fresh(kind)
    answers = answers_of(kind, tmp_path, rows)
    pairs = zip(answers, rows["truth"], strict=True)
    inside = [answer["low"] <= truth <= answer["high"] for answer, truth in pairs]
    assert 0.8 < np.mean(inside) < 0.97
    assert all(answer["low"] < answer["value"] < answer["high"] for answer in answers)
    assert manifest.parameters == {}
    metrics = manifest.metrics
    assert metrics["below_low"].value < 0.2 < 0.8 < metrics["below_high"].value
    assert metrics["interval_width"].value > 0
    assert metrics["crossing"].value == 0


@pytest.mark.parametrize("name", ["anomaly", "one_class"])
def test_an_anomaly_score_needs_no_target_and_finds_the_unusual(name: str, tmp_path: Path) -> None:
    """Every twentieth row lies far outside, and these are flagged far more often than others."""
    kind = KINDS[name]()
    written = written_of(kind, tmp_path)
    rows = fresh(kind)
    assert "truth" not in rows
    flagged = np.array([answer["is_anomaly"] for answer in answers_of(kind, tmp_path, rows)])
    is_odd = np.arange(len(rows)) % 20 == 0
    assert flagged[is_odd].mean() > 0.3
    assert flagged[is_odd].mean() > 3 * flagged[~is_odd].mean()
    metrics = written.manifest.metrics
    assert metrics["contamination"].value == 0.05
    assert metrics["share_flagged"].value < 0.15
    page = report_of(written)
    assert 'alt="Anomaly scores"' in page
    assert "Share flagged" in page


def test_a_detector_that_flags_far_more_than_its_contamination_is_refused(tmp_path: Path) -> None:
    """The sentence has both shares, and who named the one that was expected."""
    kind = kinds.anomaly(0.3)
    training = replace(kind.training, contamination=0.02)
    with pytest.raises(QualityTooLow) as refusal:
        train(training, kind.spec, "1.0.0", FolderStore(tmp_path))
    assert "expected about 2.0%" in str(refusal.value)
    assert "Training.contamination" in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_score_that_is_the_same_for_every_row_is_refused(tmp_path: Path) -> None:
    """A detector that was fitted on one constant column knows nothing."""
    kind = kinds.anomaly()

    def pipeline() -> Any:
        return kinds.one_column(IsolationForest(n_estimators=5, random_state=0))

    training = replace(kind.training, pipeline=pipeline)
    with pytest.raises(QualityTooLow, match="for every row, expected scores that differ"):
        train(training, kind.spec, "1.0.0", FolderStore(tmp_path))


def test_every_type_of_field_reaches_the_pipeline_and_the_report(tmp_path: Path) -> None:
    """Truth values, dates, open and free text: with importance, and slices that one can read."""
    kind = kinds.every_field()
    written = written_of(kind, tmp_path)
    assert written.manifest.metrics["auc"].value > 0.75
    rows = fresh(kind).drop(columns="truth")
    same = {name: rows[name].iloc[0] for name in ("joined", "city")}
    rows = rows.assign(**same, is_member=True, note="again and again")
    calm = answers_of(kind, tmp_path, rows)
    angry = answers_of(kind, tmp_path, rows.assign(note="broken, want a refund"))
    assert all(
        more["probability"] > less["probability"] for more, less in zip(angry, calm, strict=True)
    )
    page = report_of(written)
    for text in ("true", "false"):
        assert f"<td>{text}</td>" in page
    assert any(f"<td>{city}</td>" in page for city in kinds.CITIES)
    assert "<td>2019-01-" in page
    # No two notes are the same: all of them together are no slice.
    assert "<td>any other</td>" not in page


@pytest.mark.parametrize("name", KINDS)
def test_a_pipeline_of_any_kind_that_was_fitted_elsewhere_becomes_a_version(
    name: str, tmp_path: Path
) -> None:
    """The served scores are the pipeline's own."""
    kind = KINDS[name]()
    pipeline, rows = offered(kind, kind.pipeline(), tmp_path)
    store = FolderStore(tmp_path / "store")
    written = bundle(kind.training, kind.spec, "1.0.0", store, pipeline, rows)
    predictor = load(store, kind.spec, "1.0.0")
    assert predictor.manifest == written.manifest
    assert np.std([item.score for item in written.manifest.golden_rows if item.score]) > 0


def offered(kind: Kind, estimator: Any, folder: Path) -> tuple[Path, Path]:
    """The files of a pipeline that is fitted as pandas reads rows, and of rows it has not seen."""
    table = check(kind.make_rows(400, 1), kind.spec, "recipe")
    frame = table.frame_for(AS_READ)
    has_target = not kind.spec.is_anomaly_score
    fitted = estimator.fit(frame, table.labels) if has_target else estimator.fit(frame)
    joblib.dump(fitted, folder / "fitted.joblib")
    kind.make_rows(400, 2).to_csv(folder / "rows.csv", index=False)
    return folder / "fitted.joblib", folder / "rows.csv"


UNEQUAL = r"expected (better than a constant|scores that differ)"
CONSTANTS: dict[str, tuple[Callable[[], Kind], Any]] = {
    "binary": (lambda: kinds.binary("no", "yes", "yes"), DummyClassifier()),
    "classes": (lambda: kinds.classes("a", "b", "c"), DummyClassifier()),
    "value": (kinds.value, DummyRegressor()),
    "outputs": (kinds.outputs, DummyRegressor()),
    "quantiles": (kinds.quantiles, kinds.ConstantQuantiles()),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_pipeline_that_ignores_the_row_is_refused_whatever_its_kind(
    name: str, tmp_path: Path
) -> None:
    """Better than a constant is the least that a version must be, and not by luck."""
    make, estimator = CONSTANTS[name]
    kind = make()
    pipeline, rows = offered(kind, estimator, tmp_path)
    with pytest.raises(QualityTooLow, match=UNEQUAL):
        bundle(kind.training, kind.spec, "1.0.0", FolderStore(tmp_path / "store"), pipeline, rows)


def test_quantiles_in_descending_order_are_refused_with_their_names(tmp_path: Path) -> None:
    """An interval whose low end is above its high one answers nobody."""
    kind = kinds.quantiles(levels=(0.95, 0.5, 0.05))
    with pytest.raises(QualityTooLow, match="found low above high on 100% of the rows"):
        train(kind.training, kind.spec, "1.0.0", FolderStore(tmp_path))


def test_a_regressor_of_negative_values_has_the_width_of_its_interval(tmp_path: Path) -> None:
    """The width is twice the half-width, wherever the values lie."""
    kind = kinds.value(offset=-50.0)
    written = written_of(kind, tmp_path)
    manifest = written.manifest
    width = 2 * manifest.parameters["half_width"]
    assert width > 0
    assert manifest.metrics["interval_width"].value == pytest.approx(width)
    # It is the linear model itself, but for float noise.
    assert "than linear" not in report_of(written)
    [answer] = answers_of(kind, tmp_path, fresh(kind).head(1))
    assert answer["high"] - answer["low"] == pytest.approx(width)


def test_a_floor_of_a_metric_that_the_kind_does_not_have_is_one_sentence(tmp_path: Path) -> None:
    """It lists the metrics that there are."""
    kind = kinds.classes("a", "b", "c")
    training = replace(kind.training, at_least={"f1": 0.5})
    with pytest.raises(TrainingError, match=r"found f1, expected metrics of a classifier: accura"):
        train(training, kind.spec, "1.0.0", FolderStore(tmp_path))


def test_a_training_that_says_nothing_is_told_what_it_lacks(tmp_path: Path) -> None:
    """Neither make_rows nor pipeline: one sentence each, with what to do."""
    kind = kinds.value()
    store = FolderStore(tmp_path)
    with pytest.raises(TrainingError, match=r"has no pipeline\(\); expected one"):
        train(Training(), kind.spec, "1.0.0", store)
    with pytest.raises(TrainingError, match=r"has no make_rows\(\); expected --data"):
        train(Training(pipeline=kind.pipeline), kind.spec, "1.0.0", store)


@pytest.mark.parametrize("share", [0, 1, -0.1, 5])
def test_a_contamination_that_is_no_share_is_refused(share: float) -> None:
    """Whoever writes 5 for five percent is told before the training begins."""
    with pytest.raises(TrainingError, match="expected a share between 0 and 1"):
        Training(contamination=share)
