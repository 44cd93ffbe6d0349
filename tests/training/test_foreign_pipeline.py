"""`python -m training bundle`: a fitted pipeline becomes a version, or is refused with a reason."""

import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
from odd_estimator import Answering, Drifting, MeanOfColumns, Raising, refuse_millions
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from typer.testing import CliRunner

from serve_app.bundle.loading import load
from serve_app.bundle.manifest import Manifest
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Block, Layout
from serve_app.models import get_spec
from training.cli import app
from training.errors import InvalidPipeline
from training.foreign import read_pipeline
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


def test_what_a_pipeline_refuses_inside_the_contract_is_said_with_the_choice(
    offer: Callable[..., Any], churn_rows: Table, tmp_path: Path
) -> None:
    """Field, value and cause, in the terminal and in the report; such a row is an error row."""
    steps = (FunctionTransformer(refuse_millions), StandardScaler(), LogisticRegression())
    target = churn_rows.target.astype(int)
    result = offer(make_pipeline(*steps).fit(churn_rows.frame, target), churn_rows)
    assert result.exit_code == 0, result.output
    report = (tmp_path / "store" / "churn" / "2.0.0" / "report.html").read_text()
    for text in (result.output, report):
        assert "monthly_spend_usd 1000000.0: allowed by the contract, but the pipeline" in text
        assert "ValueError: nobody spends a million" in text
        assert "narrow the contract, or let the pipeline handle it" in text
    predictor = load(FolderStore(tmp_path / "store"), get_spec("churn"), "2.0.0")
    block = Block(churn_rows.block.numbers[:2].copy(), churn_rows.block.categories[:2])
    column = Layout(churn_rows.spec.contract).number_names.index("monthly_spend_usd")
    block.numbers[0, column] = 1_000_000
    assert np.isnan(predictor.score(block)).tolist() == [True, False]


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
    "other classes": (
        lambda: Answering(classes=("no", "yes")),
        "found the classes no, yes, expected 0, 1: name the classes in the contract",
    ),
    "not fitted": (
        lambda: LogisticRegression(),
        "found a LogisticRegression without classes_, which has not been fitted",
    ),
    "an error of its own": (
        lambda: Raising(),
        "predict_proba() failed on valid rows with the columns monthly_active_days",
    ),
    "one class": (
        lambda: DummyClassifier().fit([[0]] * 10, ["a"] * 10),
        "found the classes a, expected 0, 1",
    ),
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


def test_a_missing_module_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Its name, not only that something is missing."""
    _dump_of_a_missing_module(tmp_path / "stranger.joblib")
    with pytest.raises(InvalidPipeline, match="expected the module gone_by_then here: install"):
        read_pipeline(tmp_path / "stranger.joblib")


def test_a_pipeline_with_a_function_of_its_script_is_refused_with_the_way_out(
    tmp_path: Path,
) -> None:
    """Its pickle has the name only, and the script is not there any more."""
    script = """
        import joblib
        from sklearn.preprocessing import FunctionTransformer
        def halved(rows):
            return rows / 2
        joblib.dump(FunctionTransformer(halved), "fitted.joblib")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    subprocess.run(command, cwd=tmp_path, check=True)
    with pytest.raises(InvalidPipeline) as refusal:
        read_pipeline(tmp_path / "fitted.joblib")
    assert "halved" in str(refusal.value)
    assert "the script that fitted it defined this itself: put it into a module" in str(
        refusal.value
    )


def test_a_lambda_in_a_cloudpickle_is_refused_with_its_place(tmp_path: Path) -> None:
    """MLflow's format keeps the code of functions; a bundle keeps the names of installed ones."""
    pipeline = make_pipeline(FunctionTransformer(lambda rows: rows), LogisticRegression())
    (tmp_path / "model.pkl").write_bytes(cloudpickle.dumps(pipeline))
    with pytest.raises(InvalidPipeline) as refusal:
        read_pipeline(tmp_path / "model.pkl")
    assert "found a lambda in FunctionTransformer (func): pickle cannot keep it" in str(
        refusal.value
    )


def test_the_form_of_missing_texts_may_be_said(
    offer: Callable[..., Any], loan_rows: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--missing-text =unknown` stands in the manifest; another word is refused with the forms."""
    monkeypatch.setattr("training.cli.get_spec", lambda name: loan_rows.spec)
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("employment", encoder, ["employment"])])
    filled = loan_rows.frame.fillna({"employment": "unknown"})
    pipeline = make_pipeline(columns, LogisticRegression()).fit(filled, loan_rows.target)
    rows = replace(loan_rows, spec=replace(loan_rows.spec, name="churn"))
    result = offer(pipeline, rows, "--missing-text", "unknown")
    assert result.exit_code == 1
    assert "found 'unknown', expected nan, none, or =TEXT" in result.stderr
    result = offer(pipeline, rows, "--missing-text", "=unknown")
    manifests = list(Path(result.output.partition("bundle: ")[2].split()[0]).glob("manifest.json"))
    (manifest,) = (Manifest.model_validate_json(path.read_bytes()) for path in manifests)
    assert (manifest.call.missing_text, manifest.call.missing_value) == ("value", "unknown")


def test_a_bundle_notes_the_libraries_and_the_modules_of_its_pickle(
    offer: Callable[..., Any], delivery_rows: Table, tmp_path: Path
) -> None:
    """And says what has to be installed where it serves; a compiler that was not used is not
    noted.
    """
    result = offer(MeanOfColumns().fit(delivery_rows.frame, delivery_rows.target), delivery_rows)
    assert result.exit_code == 0, result.output
    data = (tmp_path / "store" / "delivery_time" / "2.0.0" / "manifest.json").read_bytes()
    manifest = Manifest.model_validate_json(data)
    assert set(manifest.modules) == {"odd_estimator"}
    assert {"python", "scikit-learn", "numpy", "pandas", "joblib"} <= set(manifest.libraries)
    assert "skl2onnx" not in manifest.libraries
    assert any("needs the modules odd_estimator where it serves" in note for note in manifest.notes)


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

    with monkeypatch.context() as patch:
        patch.setattr(sklearn.base, "__version__", "0.9")
        joblib.dump(
            DummyClassifier().fit(pd.DataFrame({"a": [0, 1]}), [0, 1]), tmp_path / "old.joblib"
        )
    with pytest.raises(
        InvalidPipeline, match=rf"scikit-learn 0\.9, expected {sklearn.__version__}"
    ):
        read_pipeline(tmp_path / "old.joblib")
