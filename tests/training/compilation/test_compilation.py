"""Which pipelines become ONNX, that they agree, and the plain reason when they do not."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from encoders import one_hot
from odd_estimator import MeanOfColumns, log_of_columns
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.runtimes.onnx_runtime import OnnxRuntime
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.contract import ModelSpec
from training.calling import find_call
from training.compilation.proof import Compilation, compile_pipeline
from training.reading import check
from training.table import Table
from training.truth import Truth, find_truth

LOAN_NUMBERS = ["income_usd", "age_years", "n_children"]
ORDER_NUMBERS = ["order_hour", "distance_km", "n_items", "n_distinct_items"]
TREES = {"max_iter": 40, "random_state": 0}
FOREST = {"n_estimators": 15, "max_depth": 6, "random_state": 0}


def loans(numbers: Any, categories: Any) -> ColumnTransformer:
    """The columns of a loan, the categories through an encoder."""
    return ColumnTransformer(
        [("categories", categories, ["employment"]), ("numbers", numbers, LOAN_NUMBERS)]
    )


def orders() -> ColumnTransformer:
    """The columns of an order, the day one-hot."""
    return ColumnTransformer(
        [("day", OneHotEncoder(), ["order_day"]), ("numbers", "passthrough", ORDER_NUMBERS)]
    )


LOAN_PIPELINES = {
    "boosting on one-hot and missing ints": lambda: Pipeline(
        [
            ("columns", loans("passthrough", one_hot())),
            ("model", HistGradientBoostingClassifier(**TREES)),
        ]
    ),
    "boosting on ordinals": lambda: Pipeline(
        [
            ("columns", loans("passthrough", OrdinalEncoder())),
            ("model", HistGradientBoostingClassifier(**TREES)),
        ]
    ),
    "calibrated boosting": lambda: Pipeline(
        [
            ("columns", loans("passthrough", one_hot())),
            ("model", CalibratedClassifierCV(HistGradientBoostingClassifier(**TREES), cv=3)),
        ]
    ),
    "forest": lambda: Pipeline(
        [
            ("columns", loans(SimpleImputer(), one_hot())),
            ("model", RandomForestClassifier(**FOREST)),
        ]
    ),
    "logistic": lambda: Pipeline(
        [
            ("columns", loans(make_pipeline(SimpleImputer(), StandardScaler()), one_hot())),
            ("model", LogisticRegression()),
        ]
    ),
}
ORDER_PIPELINES = {
    "boosting": lambda: Pipeline(
        [("columns", orders()), ("model", HistGradientBoostingRegressor(**TREES))]
    ),
    "gradient boosting": lambda: Pipeline(
        [("columns", orders()), ("model", GradientBoostingRegressor(random_state=0))]
    ),
    "forest": lambda: Pipeline([("columns", orders()), ("model", RandomForestRegressor(**FOREST))]),
    "linear": lambda: Pipeline([("columns", orders()), ("model", LinearRegression())]),
}
CHURN_PIPELINES = {
    "a bare estimator": lambda: HistGradientBoostingClassifier(**TREES),
    "a scaler first": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
}


def compiled(pipeline: Any, rows: Table) -> tuple[Compilation, Truth, PipelineCall]:
    """The fitted pipeline compiled, what it was compared with, and how it is called."""
    pipeline.fit(rows.frame, rows.labels)
    some = rows.take(np.arange(300))
    call = find_call(pipeline, some)
    truth = find_truth(pipeline, some, call)
    return compile_pipeline(pipeline, rows.spec, call, truth, 0.5), truth, call


def expect_agreement(pipeline: Any, rows: Table, inputs: set[str]) -> None:
    """The graph takes serving's matrices and gives the pipeline's scores, together and alone."""
    compilation, truth, call = compiled(pipeline, rows)
    assert compilation.graph is not None, compilation.reason
    assert truth.file_scores.std() > 0.01
    runtime = OnnxRuntime(compilation.graph, call)
    expected = SklearnRuntime(pipeline, rows.spec.contract, call).score(rows.block)
    together = runtime.score(rows.block)
    alone = np.concatenate([runtime.score(rows.block[i : i + 1]) for i in range(20)])
    assert np.abs(together - expected).max() <= truth.tolerance
    assert np.abs(alone - expected[:20]).max() <= truth.tolerance
    session = onnxruntime.InferenceSession(compilation.graph)
    assert {given.name for given in session.get_inputs()} == inputs
    assert [made.name for made in session.get_outputs()] == ["score"]


@pytest.mark.parametrize("kind", LOAN_PIPELINES)
def test_a_classifier_on_strings_and_missing_values_compiles_and_agrees(
    kind: str, loan_rows: Table
) -> None:
    """Encoders on strings, missing ints, and a calibration as the last step are no obstacle."""
    expect_agreement(LOAN_PIPELINES[kind](), loan_rows, {"numbers", "categories"})


@pytest.mark.parametrize("kind", ORDER_PIPELINES)
def test_a_regressor_on_strings_compiles_and_agrees(kind: str, delivery_rows: Table) -> None:
    """Every usual regressor gives the same minutes when it is compiled."""
    expect_agreement(ORDER_PIPELINES[kind](), delivery_rows, {"numbers", "categories"})


@pytest.mark.parametrize("kind", CHURN_PIPELINES)
def test_a_pipeline_without_named_columns_compiles_and_agrees(kind: str, churn_rows: Table) -> None:
    """A contract of numbers alone becomes a graph with one input, no ColumnTransformer needed."""
    expect_agreement(CHURN_PIPELINES[kind](), churn_rows, {"numbers"})


def test_the_same_pipeline_compiles_to_the_same_bytes(delivery_rows: Table) -> None:
    """Nothing but the pipeline decides the hash of model.onnx."""
    pipeline = ORDER_PIPELINES["linear"]()
    assert compiled(pipeline, delivery_rows)[0].graph == compiled(pipeline, delivery_rows)[0].graph


def test_a_function_that_only_python_knows_is_not_compiled_and_the_reason_names_it(
    churn_rows: Table,
) -> None:
    """The bundle explains why it falls back to scikit-learn."""
    pipeline = make_pipeline(FunctionTransformer(log_of_columns), LogisticRegression())
    compilation, _, _ = compiled(pipeline, churn_rows)
    assert compilation.graph is None
    assert "FunctionTransformer" in compilation.reason


def test_a_calibration_around_a_pipeline_is_compiled(loan_rows: Table) -> None:
    """Each of its folds is a pipeline, and their calibrators are a few nodes each."""
    inner = Pipeline(
        [
            (
                "columns",
                loans(make_pipeline(SimpleImputer(), StandardScaler()), one_hot()),
            ),
            ("model", LogisticRegression()),
        ]
    )
    calibrated = CalibratedClassifierCV(inner, cv=2)
    expect_agreement(calibrated, loan_rows, {"numbers", "categories"})


def test_an_unknown_estimator_is_not_compiled_and_the_reason_names_it(delivery_rows: Table) -> None:
    """An estimator of one's own is served as it is."""
    compilation, _, _ = compiled(Pipeline([("model", MeanOfColumns())]), delivery_rows)
    assert compilation.graph is None
    assert "MeanOfColumns" in compilation.reason


def test_trees_that_cut_between_cents_are_compiled(loan_spec: ModelSpec) -> None:
    """A float32 holds no cents at 900,000; the count of the cuts below a number does."""
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 400, 1_500)
    rows = pd.DataFrame(
        {
            "income_usd": 900_000 + steps * 0.01,
            "age_years": 30,
            "n_children": 1.0,
            "employment": "self",
        }
    )
    rows["defaulted"] = (steps // 2) % 2
    table = check(rows, loan_spec, "test")
    trees = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=2, random_state=0)
    columns = loans("passthrough", one_hot())
    expect_agreement(Pipeline([("columns", columns), ("model", trees)]), table, {"numbers"})


def test_a_graph_that_disagrees_is_not_accepted_and_the_reason_names_both_answers(
    churn_rows: Table,
) -> None:
    """What the author reads: how many rows, which value, what each of the two says."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    _, truth, call = compiled(pipeline, churn_rows)
    wrong = replace(truth, scores=truth.scores + 0.01)
    compilation = compile_pipeline(pipeline, churn_rows.spec, call, wrong, 0.5)
    assert compilation.graph is None
    n_rows = f"{len(truth.block):,}"
    assert f"differs from the pipeline on {n_rows} of {n_rows} rows" in compilation.reason
    assert "compiled " in compilation.reason
    assert "pipeline " in compilation.reason
    assert "scaler" not in compilation.reason
    assert len(compilation.reason) <= 400


def test_the_reason_names_the_row_that_is_farthest_by_its_field_and_value(loan_rows: Table) -> None:
    """One probe of thousands differs, and nobody has to look for it."""
    columns = loans(make_pipeline(SimpleImputer(), StandardScaler()), one_hot())
    pipeline = Pipeline([("columns", columns), ("model", LogisticRegression())])
    compilation, truth, call = compiled(pipeline, loan_rows)
    assert compilation.graph is not None, compilation.reason
    row = truth.said.index("n_children missing")
    scores = truth.scores.copy()
    right = scores[row]
    scores[row] = 1 - right
    wrong = replace(truth, scores=scores)
    found = compile_pipeline(pipeline, loan_rows.spec, call, wrong, 0.5)
    assert found.graph is None
    assert f"differs from the pipeline on 1 of {len(truth.block):,} rows" in found.reason
    assert f"one with n_children missing: compiled {right:.6g}, pipeline" in found.reason
