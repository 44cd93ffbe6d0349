"""`python -m training bundle`: a fitted pipeline becomes a version, or is refused with a reason."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from odd_estimator import Answering, Drifting, MeanOfColumns
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from serve_app.bundle.predictor import load
from serve_app.bundle.store import FolderStore
from serve_app.models import get_spec
from training.cli import app
from training.table import Table


@pytest.fixture
def offer(tmp_path: Path) -> Callable[..., Any]:
    """Offers a pipeline and rows to the command, into a store of its own."""

    def run(pipeline: Any, rows: Table, *more: str) -> Any:
        joblib.dump(pipeline, tmp_path / "fitted.joblib")
        target = rows.target.astype(int) if rows.spec.kind == "binary_classifier" else rows.target
        rows.frame.assign(**{rows.spec.target: target}).to_csv(tmp_path / "rows.csv", index=False)
        words = ["bundle", rows.spec.name, "--pipeline", str(tmp_path / "fitted.joblib"), *more]
        words += [
            "--data",
            str(tmp_path / "rows.csv"),
            "--version",
            "2.0.0",
            "--store",
            str(tmp_path / "store"),
        ]
        return CliRunner().invoke(app, words)

    return run


def test_a_fitted_classifier_becomes_a_version_that_answers_as_it_did(
    offer: Callable[..., Any], churn_rows: Table, tmp_path: Path
) -> None:
    """Nothing is fitted again: the served scores are those of the given pipeline."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(
        churn_rows.frame, churn_rows.target.astype(int)
    )
    result = offer(pipeline, churn_rows)
    assert result.exit_code == 0, result.output
    predictor = load(FolderStore(tmp_path / "store"), get_spec("churn"), "2.0.0")
    expected = pipeline.predict_proba(churn_rows.frame)[:, 1]
    assert np.abs(predictor.score(churn_rows.block) - expected).max() < 1e-5
    assert predictor.manifest.n_training_rows == 0
    assert predictor.manifest_sha256 in result.output


def test_a_regressor_that_cannot_be_compiled_is_bundled_with_an_interval_and_the_reason(
    offer: Callable[..., Any], delivery_rows: Table, tmp_path: Path
) -> None:
    """The scikit-learn runtime serves it, and half of the rows calibrate its interval."""
    result = offer(MeanOfColumns().fit(delivery_rows.frame, delivery_rows.target), delivery_rows)
    assert result.exit_code == 0, result.output
    predictor = load(FolderStore(tmp_path / "store"), get_spec("delivery_time"), "2.0.0")
    manifest = predictor.manifest
    assert manifest.runtime == "sklearn"
    assert "MeanOfColumns" in manifest.runtime_reason
    assert set(manifest.files) == {"pipeline.joblib", "report.html"}
    assert abs(manifest.metrics["coverage"].value - 0.9) < 4 * np.sqrt(2 * 0.09 / 750)
    report = (tmp_path / "store" / "delivery_time" / "2.0.0" / "report.html").read_text()
    assert "Not compiled" in report
    assert predictor.score(delivery_rows.block).std() > 0.5


def test_a_pipeline_that_changes_when_it_is_opened_again_never_gets_its_version(
    offer: Callable[..., Any], delivery_rows: Table, tmp_path: Path
) -> None:
    """The bundle is proven before it is written: no number is spent on one that cannot serve."""
    result = offer(Drifting().fit(delivery_rows.frame, delivery_rows.target), delivery_rows)
    assert result.exit_code == 1
    assert "golden rows scored together differ" in result.stderr
    assert not (tmp_path / "store").exists()


CLASSIFIERS = {
    "a regressor": (lambda: LinearRegression(), "without predict_proba()"),
    "three columns": (lambda: Answering(shape=3), "gave the shape (1500, 3), expected (1500, 2)"),
    "not a number": (lambda: Answering(value=float("nan")), "3000 answers that are not finite"),
    "no probability": (
        lambda: Answering(value=1.5),
        "probabilities from 1.5 to 1.5, expected 0 to 1",
    ),
    "exchanged classes": (
        lambda: Answering(classes=(1, 0)),
        "found the classes 1, 0, expected 0 and 1",
    ),
    "not fitted": (lambda: LogisticRegression(), "NotFittedError"),
    "a constant": (
        lambda: DummyClassifier().fit([[0]] * 10, [0, 1] * 5),
        "auc: found 0.5, expected better than a constant's 0.5",
    ),
}


@pytest.mark.parametrize("fault", CLASSIFIERS)
def test_a_pipeline_that_does_not_answer_as_it_must_is_refused_with_the_reason(
    offer: Callable[..., Any], churn_rows: Table, fault: str, tmp_path: Path
) -> None:
    """Nothing is written for wrong methods, shapes, values or classes, nor for a constant."""
    make, words = CLASSIFIERS[fault]
    result = offer(make(), churn_rows)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "store").exists()


def test_a_pipeline_fitted_on_other_columns_is_refused_with_the_columns(
    offer: Callable[..., Any], churn_rows: Table
) -> None:
    """The message shows the columns that every row has."""
    other = churn_rows.frame.rename(columns={"nps_score": "nps"})
    result = offer(LogisticRegression(max_iter=3_000).fit(other, churn_rows.target), churn_rows)
    assert result.exit_code == 1
    assert "failed on valid rows with the columns monthly_active_days" in result.stderr


def test_a_file_that_is_no_pipeline_is_refused(tmp_path: Path, churn_rows: Table) -> None:
    """Random bytes, and a class that is not installed here."""
    rows = churn_rows.frame.assign(churned=churn_rows.target.astype(int))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "noise.joblib").write_bytes(b"no pickle")
    _dump_of_a_missing_module(tmp_path / "stranger.joblib")
    for name in ("noise.joblib", "stranger.joblib", "absent.joblib"):
        words = [
            "bundle",
            "churn",
            "--pipeline",
            str(tmp_path / name),
            "--data",
            str(tmp_path / "rows.csv"),
        ]
        result = CliRunner().invoke(
            app, [*words, "--version", "2.0.0", "--store", str(tmp_path / "store")]
        )
        assert result.exit_code == 1
        assert f"{name}: cannot be opened" in result.stderr


def _dump_of_a_missing_module(path: Path) -> None:
    """A pickle of a class whose module is gone when it is opened."""
    module = types.ModuleType("gone_by_then")
    exec("class Stranger: pass", module.__dict__)
    module.Stranger.__module__ = "gone_by_then"
    sys.modules["gone_by_then"] = module
    joblib.dump(module.Stranger(), path)
    del sys.modules["gone_by_then"]


def test_an_estimator_of_another_scikit_learn_is_refused_with_both_versions(
    tmp_path: Path, churn_rows: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a pickle may open and then answer wrongly."""
    import sklearn
    import sklearn.base

    from training.errors import InvalidPipeline
    from training.foreign import read_pipeline

    with monkeypatch.context() as patch:
        patch.setattr(sklearn.base, "__version__", "0.9")
        joblib.dump(
            DummyClassifier().fit(pd.DataFrame({"a": [0, 1]}), [0, 1]), tmp_path / "old.joblib"
        )
    with pytest.raises(
        InvalidPipeline, match=rf"scikit-learn 0\.9, expected {sklearn.__version__}"
    ):
        read_pipeline(tmp_path / "old.joblib")
