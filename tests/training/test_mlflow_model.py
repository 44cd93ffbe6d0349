"""A model folder of MLflow, read without MLflow: the pipeline, its columns, and what is refused."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from mlflow_folder import signature_of, write_example, write_folder, write_sklearn
from odd_estimator import MeanOfColumns
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from serve_app.bundle.loading import load
from serve_app.bundle.store import FolderStore
from serve_app.models import get_spec
from training.cli import app
from training.errors import InvalidPipeline
from training.foreign import columns_of, read_pipeline
from training.mlflow_model import Column, column_faults, is_mlflow, read_mlflow
from training.table import Table

CHURN = get_spec("churn")
COLUMNS = {
    feature.name: "double" if feature.dtype == "float" else "long" for feature in CHURN.contract
}
FRAME = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0)[::-1] ** 2})
LABELS = (np.arange(60) % 3 == 0).astype(int)


@pytest.fixture(scope="module")
def fitted() -> Any:
    """A small pipeline."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, LABELS)


def test_a_folder_gives_its_pipeline_and_its_columns(fitted: Any, tmp_path: Path) -> None:
    """The folder, or the file MLmodel in it; what is no such folder is something else."""
    info = write_example(tmp_path / "model", FRAME.head(2))
    folder = write_sklearn(
        tmp_path / "model",
        fitted,
        signature=signature_of(a="double", b="double"),
        saved_input_example_info=info,
    )
    for path in (folder, folder / "MLmodel"):
        assert is_mlflow(path)
        found = read_mlflow(path)
        assert np.array_equal(found.pipeline.predict_proba(FRAME), fitted.predict_proba(FRAME))
        assert found.columns == (Column("a", "double"), Column("b", "double"))
    assert not is_mlflow(tmp_path)


def test_without_a_signature_the_example_tells_the_columns(fitted: Any, tmp_path: Path) -> None:
    """Types as far as the values show them; a column of nulls has none."""
    rows = pd.DataFrame(
        {"n": [1, 2], "x": [0.5, None], "ok": [True, False], "city": ["a", None], "z": [None, None]}
    )
    info = write_example(tmp_path, rows)
    found = read_mlflow(write_sklearn(tmp_path, fitted, saved_input_example_info=info))
    assert {column.name: column.type for column in found.columns} == {
        "n": "long",
        "x": "double",
        "ok": "boolean",
        "city": "string",
        "z": None,
    }


def test_a_model_that_was_logged_with_neither_has_no_columns(fitted: Any, tmp_path: Path) -> None:
    """Tensors have no names either; a broken example is not needed."""
    tensor = {"inputs": '[{"type": "tensor", "tensor-spec": {"dtype": "float64"}}]'}
    info = {"artifact_path": "gone.json", "type": "dataframe"}
    for more in ({}, {"signature": tensor}, {"saved_input_example_info": info}):
        found = read_mlflow(write_sklearn(tmp_path, fitted, **more))
        assert found.columns == ()


def test_an_mlflow_model_becomes_a_version(churn_rows: Table, tmp_path: Path) -> None:
    """`--pipeline mlruns/…/model`: served scores are those of the logged pipeline."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    pipeline.fit(churn_rows.frame, churn_rows.target.astype(int))
    folder = write_sklearn(tmp_path / "model", pipeline, signature=signature_of(**COLUMNS))
    churn_rows.frame.assign(churned=churn_rows.target.astype(int)).to_csv(
        tmp_path / "rows.csv", index=False
    )
    words = ["bundle", "churn", "--pipeline", str(folder), "--data", str(tmp_path / "rows.csv")]
    words += ["--version", "3.0.0", "--store", str(tmp_path / "store")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    predictor = load(FolderStore(tmp_path / "store"), CHURN, "3.0.0")
    expected = pipeline.predict_proba(churn_rows.frame)[:, 1]
    assert np.abs(predictor.score(churn_rows.block) - expected).max() < 1e-5


def test_the_columns_of_a_model_without_names_are_those_that_mlflow_has_noted(
    tmp_path: Path,
) -> None:
    """`sluice new --pipeline` makes them the fields of the contract: by signature, or by example.

    One that may be left out is none of them, and the names in a pipeline itself come first.
    """
    nameless = LogisticRegression().fit(FRAME.to_numpy(), LABELS)
    inputs = json.loads(signature_of(a="double", b="double", note="string")["inputs"])
    inputs[-1]["required"] = False
    signature = {"inputs": json.dumps(inputs)}
    by_signature = write_sklearn(tmp_path / "one", nameless, signature=signature)
    assert columns_of(nameless, by_signature) == ["a", "b"]
    info = write_example(tmp_path / "two", FRAME[["b", "a"]].head(2))
    by_example = write_sklearn(tmp_path / "two", nameless, saved_input_example_info=info)
    assert columns_of(nameless, by_example) == ["b", "a"]
    named = LogisticRegression().fit(FRAME[["b"]], LABELS)
    assert columns_of(named, by_example) == ["b"]
    assert columns_of(nameless, tmp_path / "fitted.joblib") == []


def test_a_signature_that_is_not_the_contract_is_refused_with_every_difference(
    fitted: Any, tmp_path: Path
) -> None:
    """A column too many, one too few, another type; before any row is scored."""
    types = {**COLUMNS, "nps_score": "string", "city": "string"}
    del types["billing_failures"]
    folder = write_sklearn(tmp_path, fitted, signature=signature_of(**types))
    with pytest.raises(InvalidPipeline) as refusal:
        read_pipeline(folder, CHURN)
    for words in (
        "its signature does not fit the contract: ",
        "billing_failures is in the contract and no column of the model",
        "nps_score: found string, the contract has int",
        "city (string) is not in the contract",
    ):
        assert words in str(refusal.value)


def test_an_optional_column_and_the_target_need_no_field() -> None:
    """A signature inferred from the whole frame has the target too."""
    columns = [Column(name, kind) for name, kind in COLUMNS.items()]
    more = [Column("churned", "long"), Column("note", "string", is_required=False)]
    assert column_faults([*columns, *more], CHURN) == []
    assert column_faults([], CHURN) == []


def _without_model(folder: Path) -> None:
    (folder / "model.pkl").unlink()


def _outside(folder: Path) -> None:
    (folder.parent / "other.pkl").write_bytes(b"")
    text = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(text.replace("model.pkl", "../other.pkl"))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no yaml": (lambda folder: (folder / "MLmodel").write_text("a: [1"), "cannot be read as YAML"),
    "no flavors": (lambda folder: (folder / "MLmodel").write_text("a: 1"), "found no flavors"),
    "another flavor": (
        lambda folder: write_folder(folder, {"pytorch": {"data": "x"}}),
        "found the flavors python_function, pytorch, expected one of sklearn, lightgbm, xgboost",
    ),
    "no model": (_without_model, "names model.pkl, which is not in its folder"),
    "outside": (_outside, "names other.pkl, which is not in its folder"),
    "no pickle": (
        lambda folder: (folder / "model.pkl").write_bytes(b"no pickle"),
        "model.pkl: cannot be opened",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_folder_that_cannot_be_served_is_refused_with_the_reason(
    fitted: Any, tmp_path: Path, fault: str
) -> None:
    """Each fault is one sentence that names it; nobody reads a traceback."""
    damage, words = BROKEN[fault]
    folder = write_sklearn(tmp_path / "model", fitted)
    damage(folder)
    with pytest.raises(InvalidPipeline) as refusal:
        read_pipeline(folder, CHURN)
    assert words in str(refusal.value)


def test_a_model_with_code_of_its_own_says_where_that_code_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow would put the folder on the path by itself; a server has to have it installed."""
    module = types.ModuleType("logged_with_it")
    module.Own = type("Own", (MeanOfColumns,), {"__module__": "logged_with_it"})  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "logged_with_it", module)
        settings = {"code": "code", "pickled_model": "model.pkl"}
        folder = write_folder(tmp_path / "model", {"sklearn": settings})
        joblib.dump(module.Own(), folder / "model.pkl")
    (folder / "code").mkdir()
    with pytest.raises(InvalidPipeline) as refusal:
        read_mlflow(folder)
    assert "expected the module logged_with_it here" in str(refusal.value)
    assert f"put {folder / 'code'} on PYTHONPATH" in str(refusal.value)


def test_a_folder_that_is_no_model_says_what_one_looks_like(tmp_path: Path) -> None:
    """Such as the folder of the run above it."""
    with pytest.raises(InvalidPipeline, match="found a folder without MLmodel"):
        read_pipeline(tmp_path, CHURN)


def test_a_classifier_of_xgboost_keeps_its_probabilities(tmp_path: Path) -> None:
    """Its own class and a native model; early stopping decides for the first one alone."""
    xgboost = pytest.importorskip("xgboost")
    classifier = xgboost.XGBClassifier(n_estimators=5, max_depth=2).fit(FRAME, LABELS)
    classifier.save_model(tmp_path / "model.ubj")
    settings = {"data": "model.ubj", "model_class": "xgboost.sklearn.XGBClassifier"}
    found = read_mlflow(write_folder(tmp_path, {"xgboost": settings})).pipeline
    assert np.array_equal(found.predict_proba(FRAME), classifier.predict_proba(FRAME))

    native = classifier.get_booster()
    native.set_attr(best_iteration="1")
    native.save_model(tmp_path / "model.ubj")
    settings = {"data": "model.ubj", "model_class": "xgboost.core.Booster"}
    found = read_mlflow(write_folder(tmp_path, {"xgboost": settings})).pipeline
    expected = native.predict(xgboost.DMatrix(FRAME))
    assert np.array_equal(found.predict_proba(FRAME)[:, 1], expected)
    assert list(found.classes_) == [0, 1]


def test_a_native_model_of_lightgbm_gets_the_methods_of_an_estimator(tmp_path: Path) -> None:
    """Two classes, three, and a value, by the objective that it was trained for."""
    lightgbm = pytest.importorskip("lightgbm")
    quiet = {"verbose": -1, "num_leaves": 3, "min_data_in_leaf": 5}
    for more, target, method in (
        ({"objective": "binary"}, LABELS, "predict_proba"),
        ({"objective": "multiclass", "num_class": 3}, np.arange(60) % 3, "predict_proba"),
        ({"objective": "l2"}, FRAME.a, "predict"),
    ):
        booster = lightgbm.train({**quiet, **more}, lightgbm.Dataset(FRAME, target), 3)
        booster.save_model(tmp_path / "model.lgb")
        settings = {"data": "model.lgb", "model_class": "lightgbm.basic.Booster"}
        found = read_mlflow(write_folder(tmp_path, {"lightgbm": settings})).pipeline
        answer = getattr(joblib_again(found, tmp_path), method)(FRAME)
        expected = booster.predict(FRAME)
        if more["objective"] == "binary":
            assert answer.shape == (60, 2)
            answer = answer[:, 1]
        assert np.array_equal(answer, expected)
        if method == "predict_proba":
            assert len(found.classes_) == more.get("num_class", 2)


def joblib_again(pipeline: Any, folder: Path) -> Any:
    """The pipeline as a bundle keeps it."""
    joblib.dump(pipeline, folder / "again.joblib")
    return joblib.load(folder / "again.joblib")


def test_a_classifier_of_catboost_keeps_its_probabilities(tmp_path: Path) -> None:
    """Read in its own format, by the class that MLmodel names."""
    catboost = pytest.importorskip("catboost")
    classifier = catboost.CatBoostClassifier(iterations=4, verbose=0, allow_writing_files=False)
    classifier.fit(FRAME, LABELS)
    classifier.save_model(str(tmp_path / "model.cb"))
    settings = {"data": "model.cb", "model_type": "CatBoostClassifier", "save_format": "cbm"}
    found = read_mlflow(write_folder(tmp_path, {"catboost": settings})).pipeline
    assert np.allclose(found.predict_proba(FRAME), classifier.predict_proba(FRAME), atol=1e-12)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_a_library_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """With the file of requirements that has it."""
    monkeypatch.setitem(sys.modules, library, None)
    folder = write_folder(tmp_path, {library: {"data": "model.bin"}})
    (folder / "model.bin").write_bytes(b"")
    with pytest.raises(InvalidPipeline, match=f"its model needs {library}, found none here"):
        read_mlflow(folder)
